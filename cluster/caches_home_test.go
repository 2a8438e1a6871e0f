package cluster_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/cluster"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
)

// boardHall is a hall that gets boards.
type boardHall struct{ hall }

// ViewIsYours reports whether an argument is the hall's own board.
func (h *boardHall) ViewIsYours(_ cluster.User, b *board) bool { return b == h.board }

// keeper is a client's object that keeps the boards it gets.
type keeper struct {
	flavors.Referenceable
	kept chan *flavors.Cached[boardCopy]
}

func (k *keeper) RemoteKeep(b *flavors.Cached[boardCopy]) *flavors.Cached[boardCopy] {
	k.kept <- b
	return b
}

// TestCachesComeHome: a copy that a client sends back is the original where it lives, and one that it sends to a client
// of any gateway follows it there.
func TestCachesComeHome(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	for name, n := range c.nodes {
		open := func(string) *boardHall { return &boardHall{hall{node: name, board: &board{}}} }
		require.NoError(t, n.Kind("hall", open))
	}
	c.meetAnywhere(c.loginWithBoards, func(t *testing.T, m meeting) {
		bobs := &keeper{kept: make(chan *flavors.Cached[boardCopy], 1)}
		ask[any](t, m.bobHall, "join", bobs)
		members := ask[[]*flavors.RemoteReference](t, m.annHall, "members")

		copied := ask[*flavors.Cached[boardCopy]](t, m.annHall, "board")
		assert.True(t, ask[bool](t, m.annHall, "isYours", copied))
		assert.Same(t, copied, ask[any](t, m.annHall, "echo", copied))
		back := ask[*flavors.Cached[boardCopy]](t, members[len(members)-1], "keep", copied)
		kept := <-bobs.kept
		assert.True(t, ask[bool](t, m.annHall, "isYours", back))
		assert.True(t, ask[bool](t, m.bobHall, "isYours", kept))
		before := len(itemsOf(t, copied))
		ask[int](t, m.annHall, "say", "news")
		for _, b := range []*flavors.Cached[boardCopy]{copied, kept, back} {
			pbtest.Eventually(t, func() bool { return len(itemsOf(t, b)) == before+1 })
		}
	})
}
