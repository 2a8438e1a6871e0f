package cluster_test

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cluster"
	"github.com/perspectivebroker/pb/internal/pbtest"
)

// settle waits until neither node remembers more than the given numbers.
func (c *testCluster) settle(slots, refs int) {
	c.t.Helper()
	pbtest.Eventually(c.t, func() bool {
		runtime.GC()
		for _, n := range c.nodes {
			if s, r := n.TableSizes(); s > slots || r > refs {
				return false
			}
		}
		return true
	})
}

// TestTablesForget: a node forgets objects that it was asked for. Otherwise a client that asks for ever new ones would
// take all memory.
func TestTablesForget(t *testing.T) {
	const n = 100
	for name, use := range map[string]func(c *testCluster){
		"not called": func(c *testCluster) {
			for i := range n {
				c.nodes["a"].Get("brief", fmt.Sprint(i))
			}
		},
		"factory fails": func(c *testCluster) {
			for i := range n {
				_, err := c.nodes["a"].Get("bad", fmt.Sprint(i)).CallRemote("m").Await(testContext(t))
				require.ErrorContains(t, err, "no such thing")
			}
		},
		"nobody offers it": func(c *testCluster) {
			d := c.nodes["a"].Get("nothing", "x").CallRemote("m")
			for i := range n {
				c.nodes["a"].Get("nothing", fmt.Sprint(i)).CallRemote("m")
			}
			_, err := d.Await(testContext(t))
			require.ErrorIs(t, err, cluster.Unavailable)
		},
		"passivated": func(c *testCluster) {
			for i := range n {
				require.Equal(t, 1, call[int](t, c.nodes["a"].Get("brief", fmt.Sprint(i)), "incr", 1))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, "a", "b")
			for name, node := range c.nodes {
				require.NoError(t, node.Kind("bad", func(string) (*counter, error) { return nil, errors.New("no such thing") }))
				require.NoError(t, node.Kind("brief", func(id string) *counter { return &counter{id: id, node: name} },
					cluster.IdleAfter(20*time.Millisecond)))
			}
			use(c)
			c.settle(0, 0)
		})
	}
}

// TestDroppedRefIsGivenBack: a node gives back what it calls an object by when nobody has the object's reference any
// more. It does not wait until the users of the object would have been forgotten.
func TestDroppedRefIsGivenBack(t *testing.T) {
	c := newCluster(t, "a", "b")
	for name, n := range c.nodes {
		require.NoError(t, n.Kind("hall", func(string) *hall { return &hall{node: name} }))
	}
	c.nodes["a"].SetUserIdle(time.Hour)
	id := c.idOn("hall", "b")
	before := broker.StatsOf(c.rts["b"]).Exports
	require.Equal(t, "b", call[string](t, c.nodes["a"].Get("hall", id), "node"))
	require.Greater(t, broker.StatsOf(c.rts["b"]).Exports, before)
	pbtest.Eventually(t, func() bool { runtime.GC(); return broker.StatsOf(c.rts["b"]).Exports <= before })
}

// TestManyObjectsOfANode: one client that uses many objects of another node has the link to it neither wait for garbage
// collections nor ask for any.
func TestManyObjectsOfANode(t *testing.T) {
	c := newCluster(t, "a", "b")
	for name, n := range c.nodes {
		require.NoError(t, n.Kind("hall", func(string) *hall { return &hall{node: name} }))
	}
	const many = 1500
	on := map[string]int{}
	refs := make([]*cluster.Ref, many)
	for i := range refs {
		refs[i] = c.nodes["a"].Get("hall", fmt.Sprint(i))
		on[call[string](t, refs[i], "node")]++
	}
	require.Greater(t, on["b"], many/4)
	require.Zero(t, broker.StatsOf(c.rts["a"]).Collections)
	runtime.KeepAlive(refs)
}

// TestLostWhileActivated: an object is lost while its factory runs. The calls that came before fail, the next one has
// the object made again, and what the first factory makes is not used.
func TestLostWhileActivated(t *testing.T) {
	c := newCluster(t, "a")
	begun, proceed := make(chan int), make(chan struct{})
	var made atomic.Int64
	require.NoError(t, c.nodes["a"].Kind("slow", func(id string) *counter {
		n := int(made.Add(1))
		begun <- n
		if n == 1 {
			<-proceed
		}
		return &counter{id: id, n: 100 * n}
	}))
	ref := c.nodes["a"].Get("slow", "x")
	first := ref.CallRemote("incr", 1)
	require.Equal(t, 1, <-begun)
	shards, err := c.store.Get(testContext(t), "pb/s/slow/")
	require.NoError(t, err)
	require.Len(t, shards.Entries, 1)
	c.delete(shards.Entries[0].Key)
	_, err = first.Await(testContext(t))
	require.ErrorIs(t, err, cluster.Unavailable)
	second := ref.CallRemote("incr", 1)
	require.Equal(t, 2, <-begun)
	close(proceed)
	n, err := second.Await(testContext(t))
	require.NoError(t, err)
	require.EqualValues(t, 201, n)
	require.Equal(t, 202, call[int](t, ref, "incr", 1))
}
