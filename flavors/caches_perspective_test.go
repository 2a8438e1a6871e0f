package flavors_test

import (
	"testing"

	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/require"
)

// hand is an original of which its owner sees the cards and others the number of cards.
type hand struct {
	flavors.Cacheable
	owner string
	cards []string
}

func (h *hand) TypeToCopyFor(perspective any) string {
	if h.isOwner(perspective) {
		return "cards.Own"
	}
	return "cards.Other"
}

func (h *hand) isOwner(perspective any) bool {
	r, ok := perspective.(*reader)
	return ok && r.name == h.owner
}

func (h *hand) StateToCacheAndObserveFor(perspective any, o *flavors.Observer) any {
	if o.Perspective() != perspective {
		return "these should be the same"
	}
	if h.isOwner(perspective) {
		return h.cards
	}
	return len(h.cards)
}

// card is a Copyable with a state for each perspective.
type card struct {
	flavors.Copyable
	owner *hand
	face  string
}

func (*card) TypeToCopy() string { return "cards.Card" }

func (c *card) StateToCopyFor(perspective any) any {
	if c.owner.isOwner(perspective) {
		return c.face
	}
	return nil
}

// plain has the same state for all.
type plain struct {
	flavors.Copyable
	Text string `pb:"text"`
}

func (*plain) TypeToCopy() string { return "cards.Plain" }

func (h *hand) draw(t *testing.T, face string) {
	t.Helper()
	require.NoError(t, errorOf(flavors.Update(h, func(observers flavors.Observers) {
		h.cards = append(h.cards, face)
		require.NoError(t, observers.CallRemote("drawn", &card{owner: h, face: face}))
		require.NoError(t, observers.CallRemote("said", &plain{Text: "a card"}, flavors.Kw{"loud": true}))
		for o := range observers.All() {
			if h.isOwner(o.Perspective()) {
				o.CallRemote("hint")
			}
		}
	})))
}

// table gives out views.
type table struct {
	flavors.Root
	place place
}

func (r *table) RemoteSit(name string) (*flavors.ViewPoint, error) {
	return flavors.NewViewPoint(&reader{name}, &r.place)
}

type place struct {
	flavors.Viewable
	hand hand
}

func (s *place) ViewHand(any) *hand { return &s.hand }

// TestCachePerspectives lets two players and a client without a login observe one original.
func TestCachePerspectives(t *testing.T) {
	root := &table{}
	root.place.hand.owner, root.place.hand.cards = "ann", []string{"ace"}
	s := newServer(t, root)
	ann, bob := s.Peer(), s.Peer()
	for name, p := range map[string]*wire.Peer{"ann": ann, "bob": bob} {
		p.Write(`[message 1 root sit 1 [tuple [unicode ` + name + `]] [dictionary]]`)
		p.Want(`[answer 1 [remote 1]]`)
		p.Write(`[message 2 1 hand 1 [tuple] [dictionary]]`)
	}
	ann.Want(`[answer 2 ["cards.Own" 2 [list [unicode ace]]]]`)
	bob.Want(`[answer 2 ["cards.Other" 2 1]]`)
	root.place.hand.draw(t, "king")
	const said = `[cachemessage _ 2 said 0 [tuple ["cards.Plain" [dictionary [[unicode text] [unicode "a card"]]]]] ` +
		`[dictionary [[unicode loud] [boolean true]]]]`
	ann.Want(
		`[cachemessage _ 2 drawn 0 [tuple ["cards.Card" [unicode king]]] [dictionary]]`,
		said,
		`[cachemessage _ 2 hint 1 [tuple] [dictionary]]`,
	)
	bob.Want(`[cachemessage _ 2 drawn 0 [tuple ["cards.Card" [None]]] [dictionary]]`, said)
	t.Run("one connection sees what it was first shown", func(t *testing.T) {
		bob.Write(`[message 3 root sit 1 [tuple [unicode ann]] [dictionary]]`)
		bob.Want(`[answer 3 [remote 3]]`)
		bob.Write(`[message 4 3 hand 1 [tuple] [dictionary]]`)
		bob.Want(`[answer 4 [cached 2]]`)
	})
}

// reader is a perspective.
type reader struct{ name string }
