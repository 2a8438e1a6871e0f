package cluster_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/cluster"
	"github.com/perspectivebroker/pb/cluster/store"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/authority"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/internal/wire"
)

// testTTL is how long leases last. None ends unless its test ends it, even if the machine stops for a while: a node
// that has lost its lease would drop its objects.
const testTTL = time.Minute

// counter is a placed object.
type counter struct {
	flavors.Referenceable
	id, node string
	n        int
	saved    *atomic.Int64
}

func (c *counter) RemoteIncr(by int) int        { c.n += by; return c.n }
func (c *counter) RemoteNode() string           { return c.node }
func (c *counter) RemoteID() string             { return c.id }
func (c *counter) RemoteFail(text string) error { return flavors.ValueError.New(text) }

func (c *counter) RemoteHang() *actor.Deferred { return actor.NewDeferred(nil) }

func (c *counter) save() {
	if c.saved != nil {
		c.saved.Add(int64(c.n))
	}
}

// testCluster is nodes within the process, each with a runtime of its own.
type testCluster struct {
	t     *testing.T
	ca    *authority.Authority
	store store.Store
	nodes map[string]*cluster.Node
	rts   map[string]*actor.Runtime
	saved atomic.Int64

	registry *jelly.Registry // of nodes that join later
}

func newCluster(t *testing.T, names ...string) *testCluster {
	c := &testCluster{
		t: t, ca: authority.New(t), store: store.NewMemory(), nodes: map[string]*cluster.Node{},
		rts: map[string]*actor.Runtime{},
	}
	t.Cleanup(func() { c.store.Close() })
	for _, name := range names {
		c.join(name)
	}
	c.knowMembers()
	return c
}

func (c *testCluster) options(name string) cluster.Options {
	return cluster.Options{
		Listen: "pbs://127.0.0.1:0", Store: c.store, TTL: testTTL, Registry: c.registry,
		TLS: &tls.Config{Certificates: []tls.Certificate{c.ca.Issue(name, nil)}, RootCAs: c.ca.Pool()},
	}
}

func (c *testCluster) join(name string) *cluster.Node {
	rt := pbtest.NewRuntime(c.t)
	n, err := cluster.Join(testContext(c.t), rt, c.options(name))
	require.NoError(c.t, err)
	c.t.Cleanup(n.Close)
	err = n.Kind("counter", func(id string) *counter { return &counter{id: id, node: name, saved: &c.saved} },
		cluster.OnPassivate((*counter).save))
	require.NoError(c.t, err)
	c.nodes[name], c.rts[name] = n, rt
	return n
}

// endLease ends the lease of a node that was closed, as time would, when calls through another node wait for that.
func (c *testCluster) endLease(of, through string) {
	c.t.Helper()
	pbtest.Eventually(c.t, func() bool { return c.nodes[through].Stats().Waiting > 0 })
	records, err := c.store.Get(testContext(c.t), cluster.DefaultPrefix+"m/"+of)
	require.NoError(c.t, err)
	require.Len(c.t, records.Entries, 1)
	require.NoError(c.t, c.store.Revoke(testContext(c.t), records.Entries[0].Lease))
}

func (c *testCluster) delete(key string) {
	_, _, err := c.store.Commit(testContext(c.t), nil, store.Delete(key))
	require.NoError(c.t, err)
}

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), wire.Timeout)
	t.Cleanup(cancel)
	return ctx
}

func call[T any](t *testing.T, ref *cluster.Ref, method string, args ...any) T {
	t.Helper()
	v, err := flavors.As[T](ref.CallRemote(method, args...).Await(testContext(t)))
	require.NoError(t, err)
	return v
}

func TestCallAnywhere(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	placed := map[string]int{}
	for i := range 30 {
		id := fmt.Sprintf("x%d", i)
		home := call[string](t, c.nodes["a"].Get("counter", id), "node")
		placed[home]++
		total := 0
		for name, n := range c.nodes {
			ref := n.Get("counter", id)
			total++
			assert.Equal(t, total, call[int](t, ref, "incr", 1), "through %s", name)
			assert.Equal(t, home, call[string](t, ref, "node"))
			where, owned := n.Where(ref)
			assert.Equal(t, home, where)
			assert.True(t, owned)
		}
	}
	assert.Len(t, placed, 3, "every node has some: %v", placed)
}

func TestErrorsKeepTheirType(t *testing.T) {
	c := newCluster(t, "a", "b")
	for i := range 8 {
		ref := c.nodes["a"].Get("counter", fmt.Sprint(i))
		_, err := ref.CallRemote("fail", "no").Await(testContext(t))
		require.ErrorIs(t, err, flavors.ValueError)
		_, err = ref.CallRemote("nothing").Await(testContext(t))
		require.ErrorIs(t, err, flavors.NoSuchMethod)
	}
}
