package broker_test

import (
	"testing"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
)

// noticeboard is an original that a root returns.
type noticeboard struct {
	flavors.Cacheable
	Text string `pb:"text"`
}

func (*noticeboard) TypeToCopy() string { return "test.Noticeboard" }

// townHall introduces its peers to one another, and has a noticeboard for all.
type townHall struct {
	store
	board noticeboard
}

func (h *townHall) RemoteBoard() *noticeboard { return &h.board }

// P-13.5: the copy of an original of this side can be sent on to another peer, which gets a copy too. Originals of the
// peers cannot, and the connection goes on.
func TestCachesBetweenPeers(t *testing.T) {
	h := &townHall{board: noticeboard{Text: "hello"}}
	s := newServer(t, h, broker.WithRelaying())
	a, b := s.peer(), s.peer()
	leave(a, b, `[remote 70]`, `[remote $owner]`)
	b.Write(`[message 2 "root" "board" 1 [tuple] [dictionary]]`)
	b.Want(`[answer 2 ["test.Noticeboard" $copy [dictionary [["unicode" "text"] ["unicode" "hello"]]]]]`)

	b.Write(`[message 3 $owner "show" 1 [tuple [lcache $copy]] [dictionary]]`)
	a.Want(`[message 1 70 "show" 1 [tuple ["test.Noticeboard" $copied ` +
		`[dictionary [["unicode" "text"] ["unicode" "hello"]]]]] [dictionary]]`)
	a.Write(`[answer 1 [lcache $copied]]`)
	b.Want(`[answer 3 [cached $copy]]`)
	flavors.Update(&h.board, func(o flavors.Observers) { _ = o.CallRemote("text", "news") })
	a.Want(`[cachemessage $of_a $copied "text" 0 [tuple ["unicode" "news"]] [dictionary]]`)
	b.Want(`[cachemessage $of_b $copy "text" 0 [tuple ["unicode" "news"]] [dictionary]]`)

	b.Ignore(`[decache 5]`) // what was not taken is given back
	b.Write(`[message 4 $owner "show" 1 [tuple ["pond.Board" 5 [list 1]]] [dictionary]]`)
	wantError(t, b, 4, "twisted.spread.jelly.InsecureJelly")
	b.Write(`[message 5 $owner "show" 1 [tuple] [dictionary]]`)
	a.Want(`[message $next 70 "show" 1 [tuple] [dictionary]]`)
}
