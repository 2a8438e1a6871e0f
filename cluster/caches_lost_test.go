package cluster_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/cluster"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
)

// ViewAddLong sends an update with a string of a length. The state does not show it.
func (p *pond) ViewAddLong(_ cluster.User, size int) {
	flavors.Update(&p.view, func(observers flavors.Observers) {
		_ = observers.CallRemote("add", strings.Repeat("x", size))
	})
}

// RemoteEcho is what WantIdle of a peer calls.
func (g *greeter) RemoteEcho(x any) any { return x }

// TestCacheLogBytes: a gateway keeps the updates behind a state up to 1 MiB, and asks for a new state after that.
func TestCacheLogBytes(t *testing.T) {
	c := newCluster(t, "a", "b")
	ponds := make(chan *pond, 1)
	require.NoError(t, c.nodes["b"].Kind("hall", func(string) *pond {
		p := &pond{}
		ponds <- p
		return p
	}))
	const size, fitting = 128 << 10, 7 // An update is a little longer than its string, and eight are too many.
	addr := c.pondGateway("a")
	ann := c.enter(addr, "ann", "one")
	ann.board(stateOf("ann", 0))
	p := <-ponds
	id := 100
	add := func() {
		id++
		ann.Write(fmt.Sprintf(`[message %d $pond "add_long" 0 [tuple %d] [dictionary]]`, id, size))
	}
	wantLong := func(c *pondClient, n int) {
		for range n {
			c.Forget("id")
			c.Want(`[cachemessage $id $copy "add" 0 [tuple _] [dictionary]]`)
		}
	}
	for range fitting {
		add()
	}
	wantLong(ann, fitting)
	late := c.enter(addr, "ann", "one")
	late.board(stateOf("ann", 0))
	wantLong(late, fitting)
	require.EqualValues(t, 1, p.view.asked.Load(), "the log is kept")
	add()
	wantLong(ann, 1)
	wantLong(late, 1)
	later := c.enter(addr, "ann", "one")
	later.board(stateOf("ann", 0))
	require.EqualValues(t, 2, p.view.asked.Load(), "the log was too long")
	later.WantIdle()
	add()
	for _, one := range []*pondClient{ann, late, later} {
		wantLong(one, 1)
	}
}

// TestCachesOfALostLink: a copy whose original was lost stays as it is. The object is placed anew with a new original,
// whose copies get its state and its updates, and nothing of the lost one.
func TestCachesOfALostLink(t *testing.T) {
	c := newCluster(t, "a", "b")
	for _, n := range c.nodes {
		require.NoError(t, n.Kind("hall", func(string) *pond { return &pond{} }))
	}
	ann := c.enter(c.pondGateway("a"), "ann", c.idOn("hall", "b"))
	ann.board(stateOf("ann", 0))
	ann.Write(`[message 4 $pond "add" 1 [tuple 0 3] [dictionary]]`)
	ann.Ignore(`[answer 4 [None]]`)
	ann.wantUpdates(0, 3)
	ann.Write(`[message 6 $pond "add" 1 [tuple 0 0] [dictionary]]`)
	ann.Want(`[answer 6 [None]]`) // The first answer, which comes before this one, must not be lost with the link.
	lost := ann.Var("copy")

	c.nodes["b"].Close()
	pbtest.Eventually(t, func() bool { return c.nodes["a"].Stats().Links == 0 })
	ann.askBoard()
	c.endLease("b", "a")
	ann.wantBoard(stateOf("ann", 0))
	require.NotEqual(t, lost, ann.Var("copy"))
	ann.Write(`[message 5 $pond "add" 1 [tuple 0 3] [dictionary]]`)
	ann.Ignore(`[answer 5 [None]]`)
	ann.wantUpdates(0, 3)
	ann.WantIdle()
}
