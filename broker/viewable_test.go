package broker_test

import (
	"fmt"
	"testing"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/stretchr/testify/require"
)

func TestViewables(t *testing.T) {
	h := &house{}
	s := h.serve(t)
	p := s.peer()
	enter(p, 1, "alice", "sesame")
	p.Write(`[message 3 $avatar "board" 1 [tuple] [dictionary]]`)
	p.Want(`[answer 3 [remote $board]]`)
	t.Run("methods get the caller's perspective", func(t *testing.T) {
		p.Write(`[message 4 $board "who" 1 [tuple] [dictionary]]`)
		p.Want(`[answer 4 [unicode alice]]`)
		p.Write(`[message 5 $board "draw" 1 [tuple 3 4] [dictionary]]`)
		p.Want(`[answer 5 [unicode "alice3 4"]]`)
	})
	t.Run("perspective is no argument", func(t *testing.T) {
		p.Write(`[message 6 $board "who" 1 [tuple [local $avatar]] [dictionary]]`)
		wantError(t, p, 6, "builtins.TypeError")
	})
	t.Run("one view for each user", func(t *testing.T) {
		p.Write(`[message 10 "root" "loginAnonymous" 1 [tuple [None]] [dictionary]]`)
		p.Want(`[answer 10 [remote $nobody]]`)
		p.Write(`[message 11 $nobody "board" 1 [tuple] [dictionary]]`)
		p.Want(`[answer 11 [remote $other]]`)
		require.NotEqual(t, p.Var("board"), p.Var("other"))
		p.Write(`[message 12 $other "who" 1 [tuple] [dictionary]]`)
		p.Want(`[answer 12 [unicode "(anonymous)"]]`)
		p.Write(`[message 13 $board "who" 1 [tuple] [dictionary]]`)
		p.Want(`[answer 13 [unicode alice]]`)
	})
	t.Run("objects of a view belong to its user", func(t *testing.T) {
		p.Write(`[message 20 $board "self" 1 [tuple] [dictionary]]`)
		p.Want(`[answer 20 [remote $board]]`)
		p.Write(`[decref $board]`, `[message 21 $board "held" 1 [tuple] [dictionary]]`)
		p.Want(`[answer 21 [boolean true]]`)
	})
	t.Run("sent back, it is the view", func(t *testing.T) {
		p.Write(`[message 22 $board "isSelf" 1 [tuple [local $board]] [dictionary]]`)
		p.Want(`[answer 22 [boolean true]]`)
	})
	t.Run("Perspective methods are not View methods", func(t *testing.T) {
		p.Write(`[message 23 $board "whoami" 1 [tuple] [dictionary]]`)
		wantError(t, p, 23, "twisted.spread.flavors.NoSuchMethod")
		p.Write(`[message 24 $avatar "who" 1 [tuple] [dictionary]]`)
		wantError(t, p, 24, "twisted.spread.flavors.NoSuchMethod")
	})
	t.Run("release affects one user", func(t *testing.T) {
		p.Write(`[decref $board]`, `[message 30 $board "who" 1 [tuple] [dictionary]]`)
		wantError(t, p, 30, "twisted.spread.pb.Error")
		p.Write(`[message 31 $other "who" 1 [tuple] [dictionary]]`)
		p.Want(`[answer 31 [unicode "(anonymous)"]]`)
	})
}

// TestReferencesUnderAvatar holds P-8.8; TestViewables is what follows from it.
func TestReferencesUnderAvatar(t *testing.T) {
	p := (&house{}).serve(t).peer()
	enter(p, 1, "alice", "sesame")
	p.Write(`[message 3 $avatar "taken" 1 [tuple [remote 9]] [dictionary]]`)
	p.Want(`[answer 3 [boolean true]]`)
}

// gallery hands out what looks different to each of its users.
type gallery struct {
	flavors.Avatar
	name  string
	inner *gallery
	paint *painting
	film  *film
}

func (g *gallery) PerspectivePainting() any { return g.paint }
func (g *gallery) PerspectiveFilm() any     { return g.film }

// PerspectivePaintings has the painting twice in one answer.
func (g *gallery) PerspectivePaintings() any { return []any{g.paint, g.paint} }

// PerspectiveAs hands out a view of another avatar, under one's own name and under another's.
func (g *gallery) PerspectiveAs(name string) (any, error) {
	return flavors.NewViewPoint(&gallery{name: name}, g.inner)
}

// ViewName makes a gallery something that can be seen by others, through a ViewPoint.
func (g *gallery) ViewName(caller *gallery) string { return caller.name + " sees " + g.name }

// painting is a copy for each of its users.
type painting struct {
	flavors.Copyable
	colours int // What has no size has no identity either.
}

func (*painting) TypeToCopyFor(perspective any) string { return "test." + title(perspective) }

func (p *painting) StateToCopyFor(perspective any) any {
	return map[string]any{"seenBy": fmt.Sprintf("%s, in %d colours", nameOf(perspective), p.colours)}
}

// film is a cache for each of its users.
type film struct{ flavors.Cacheable }

func (*film) TypeToCopy() string { return "test.Film" }

func (*film) StateToCacheAndObserveFor(perspective any, _ *flavors.Observer) any {
	return "a film for " + nameOf(perspective)
}

func nameOf(perspective any) string {
	if g, ok := perspective.(*gallery); ok {
		return g.name
	}
	return fmt.Sprintf("%T", perspective)
}

func title(perspective any) string {
	if nameOf(perspective) == "alice" {
		return "Masterpiece"
	}
	return "Reproduction"
}

func TestCopyDependsOnReceiver(t *testing.T) {
	paint, moving, inner := &painting{colours: 3}, &film{}, &gallery{name: "the inner room"}
	portal := portalOf(
		t,
		func(name string) *gallery { return &gallery{name: name, inner: inner, paint: paint, film: moving} },
	)
	p := newServer(t, broker.LoginRoot(portal, unhurried())).peer()
	enter(p, 1, "alice", "sesame")
	p.Write(`[message 3 $avatar "painting" 1 [tuple] [dictionary]]`)
	p.Want(`[answer 3 ["test.Masterpiece" [dictionary [[unicode seenBy] [unicode "alice, in 3 colours"]]]]]`)
	p.Write(`[message 4 $avatar "film" 1 [tuple] [dictionary]]`)
	p.Want(`[answer 4 ["test.Film" _ [unicode "a film for alice"]]]`)
	p.Write(`[message 5 $avatar "as" 1 [tuple [unicode mallory]] [dictionary]]`)
	p.Want(`[answer 5 [remote $view]]`)
	p.Write(`[message 6 $view "name" 1 [tuple] [dictionary]]`)
	p.Want(`[answer 6 [unicode "mallory sees the inner room"]]`)
	p.Write(`[message 7 $view "painting" 1 [tuple] [dictionary]]`)
	wantError(t, p, 7, "twisted.spread.flavors.NoSuchMethod")

	enter(p, 10, "bob", "bread")
	p.Write(`[message 13 $avatar "paintings" 1 [tuple] [dictionary]]`)
	p.Want(
		`[answer 13 [list [reference 1 ["test.Reproduction" [dictionary [[unicode seenBy] ` +
			`[unicode "bob, in 3 colours"]]]]] [dereference 1]]]`,
	)
}

func TestViewPointError(t *testing.T) {
	_, err := flavors.NewViewPoint(&player{}, "a string")
	require.ErrorContains(t, err, "string")
	_, err = flavors.NewViewPoint([]int{1}, &board{})
	require.ErrorContains(t, err, "[]int")
	type hidden struct{ key any } // The type can be compared, this value cannot.
	_, err = flavors.NewViewPoint(hidden{[]int{1}}, &board{})
	require.ErrorContains(t, err, "hidden")
	_, err = flavors.NewViewPoint(hidden{"a"}, &board{})
	require.NoError(t, err)
	_, err = flavors.NewViewPoint(nil, &board{})
	require.NoError(t, err)
}
