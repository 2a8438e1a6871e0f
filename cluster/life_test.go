package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/cluster"
	"github.com/perspectivebroker/pb/cluster/store"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/internal/wire"
)

// load makes calls to objects through a node until it is stopped. It returns the failures.
type load struct {
	stop     chan struct{}
	done     sync.WaitGroup
	calls    atomic.Int64
	mu       sync.Mutex
	failures []error
}

func newLoad(t *testing.T, callers int, nodes ...*cluster.Node) *load {
	l := &load{stop: make(chan struct{})}
	for i := range callers {
		n := nodes[i%len(nodes)]
		l.done.Go(func() {
			ref := n.Get("counter", fmt.Sprint("load", i%16))
			for {
				select {
				case <-l.stop:
					return
				case <-t.Context().Done():
					return
				default:
				}
				ctx, cancel := context.WithTimeout(t.Context(), wire.Timeout)
				_, err := ref.CallRemote("incr", 1).Await(ctx)
				cancel()
				l.calls.Add(1)
				if err != nil {
					l.mu.Lock()
					l.failures = append(l.failures, err)
					l.mu.Unlock()
				}
			}
		})
	}
	return l
}

func (l *load) end() (calls int64, failures []error) {
	close(l.stop)
	l.done.Wait()
	return l.calls.Load(), l.failures
}

func (l *load) waitCalls(n int64) {
	for from := l.calls.Load(); l.calls.Load() < from+n; {
		time.Sleep(time.Millisecond)
	}
}

// TestLeaveUnderLoad: a node leaves, and no call fails. Its objects have saved what they counted.
func TestLeaveUnderLoad(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	l := newLoad(t, 32, c.nodes["a"], c.nodes["b"])
	pbtest.Eventually(t, func() bool { l.waitCalls(10); return c.nodes["c"].Stats().Placed > 0 })
	l.waitCalls(500)
	require.NoError(t, c.nodes["c"].Leave(testContext(t)))
	l.waitCalls(500)
	calls, failures := l.end()
	assert.Empty(t, failures, "of %d calls", calls)
	assert.Positive(t, c.saved.Load())
	pbtest.Eventually(t, func() bool { return len(c.nodes["a"].Members()) == 2 })
}

// brokenStore is a store that fails once it is broken.
type brokenStore struct {
	store.Store
	broken atomic.Bool
}

var errBroken = errors.New("the store is broken")

func (s *brokenStore) Commit(
	ctx context.Context, conditions []store.Condition, ops ...store.Operation,
) (bool, int64, error) {
	if s.broken.Load() {
		return false, 0, errBroken
	}
	return s.Store.Commit(ctx, conditions, ops...)
}

func (s *brokenStore) Revoke(ctx context.Context, lease store.LeaseID) error {
	if s.broken.Load() {
		return errBroken
	}
	return s.Store.Revoke(ctx, lease)
}

// TestLeaveWithoutTheStore: a node leaves whose store fails. Its objects have answered and saved what they counted.
func TestLeaveWithoutTheStore(t *testing.T) {
	c := newCluster(t)
	broken := &brokenStore{Store: c.store}
	c.store = broken
	c.join("a")
	c.join("b")
	require.Equal(t, 5, call[int](t, c.on("b", c.nodes["a"]), "incr", 5))
	broken.broken.Store(true)
	require.NoError(t, c.nodes["b"].Leave(testContext(t)))
	assert.EqualValues(t, 5, c.saved.Load())
	require.ErrorIs(t, c.nodes["b"].Err(), cluster.ErrLeft)
}

// TestJoinUnderLoad: objects move to a node that joins, and no call fails.
func TestJoinUnderLoad(t *testing.T) {
	c := newCluster(t, "a", "b")
	l := newLoad(t, 32, c.nodes["a"], c.nodes["b"])
	l.waitCalls(500)
	n := c.join("c")
	pbtest.Eventually(t, func() bool { l.waitCalls(10); return n.Stats().Placed > 0 })
	l.waitCalls(500)
	calls, failures := l.end()
	assert.Empty(t, failures, "of %d calls", calls)
}

// TestNodeLost: calls on their way to a node that is lost fail with NodeLost, and the next call places the object
// anew.
func TestNodeLost(t *testing.T) {
	c := newCluster(t, "a", "b")
	ref := c.on("b", c.nodes["a"])
	require.Equal(t, 1, call[int](t, ref, "incr", 1))
	d := ref.CallRemote("hang")
	require.Equal(t, 2, call[int](t, ref, "incr", 1), "the call is under way")
	c.nodes["b"].Close()
	_, err := d.Await(testContext(t))
	require.ErrorIs(t, err, cluster.NodeLost)
	require.ErrorIs(t, err, flavors.ConnectionLost)
	d = ref.CallRemote("incr", 1)
	c.endLease("b", "a")
	n, err := flavors.As[int](d.Await(testContext(t)))
	require.NoError(t, err, "it has waited until the lease has ended")
	assert.Equal(t, 1, n)
	assert.Equal(t, "a", call[string](t, ref, "node"))
	n, err = flavors.Call[int](testContext(t), ref, "incr", 1)
	require.NoError(t, err)
	assert.Equal(t, 2, n)
}

// TestCallsWaitForALostObject: calls that wait for their turn when the object is lost are told that they did not run.
func TestCallsWaitForALostObject(t *testing.T) {
	c := newCluster(t, "a")
	entered, leave := make(chan struct{}), make(chan struct{})
	open := func(string) *blocker { return &blocker{entered: entered, leave: leave} }
	require.NoError(t, c.nodes["a"].Kind("blocker", open))
	ref := c.nodes["a"].Get("blocker", "x")
	runs := ref.CallRemote("block")
	<-entered
	waits := ref.CallRemote("block")
	// The answer to a call of another object shows that the one before has arrived.
	require.Equal(t, 1, call[int](t, c.nodes["a"].Get("counter", "y"), "incr", 1))
	shards, err := c.store.Get(testContext(t), "pb/s/blocker/")
	require.NoError(t, err)
	require.Len(t, shards.Entries, 1)
	c.delete(shards.Entries[0].Key)
	pbtest.Eventually(t, func() bool { return c.nodes["a"].Stats().Placed == 1 })
	close(leave)
	_, err = waits.Await(testContext(t))
	require.ErrorIs(t, err, cluster.Unavailable)
	_, err = runs.Await(testContext(t))
	require.NoError(t, err, "it has run")
}

// blocker is a placed object that blocks.
type blocker struct {
	flavors.Referenceable
	entered, leave chan struct{}
}

func (b *blocker) RemoteBlock() {
	b.entered <- struct{}{}
	<-b.leave
}

// on returns a reference to an object that will be placed on a node.
func (c *testCluster) on(node string, through *cluster.Node) *cluster.Ref {
	c.knowMembers()
	for i := 0; ; i++ {
		ref := through.Get("counter", fmt.Sprint("on", i))
		if where, _ := through.Where(ref); where == node {
			return ref
		}
	}
}

func TestNobodyOffersTheKind(t *testing.T) {
	c := newCluster(t, "a")
	_, err := c.nodes["a"].Get("nothing", "x").CallRemote("m").Await(testContext(t))
	require.ErrorIs(t, err, cluster.Unavailable)
}

// TestIdle: an object that nobody calls saves its state and goes. A call brings it back, and the reference stays good.
func TestIdle(t *testing.T) {
	c := newCluster(t, "a", "b")
	saved := make(chan int, 8)
	for name, n := range c.nodes {
		require.NoError(t, n.Kind("brief", func(id string) *brief { return &brief{counter{id: id, node: name}, saved} },
			cluster.IdleAfter(50*time.Millisecond), cluster.OnPassivate((*brief).Save)))
	}
	ref := c.nodes["a"].Get("brief", "x")
	require.Equal(t, 5, call[int](t, ref, "incr", 5))
	assert.Equal(t, 5, <-saved)
	assert.Equal(t, 1, call[int](t, ref, "incr", 1), "it begins anew")
	assert.Equal(t, 1, <-saved)
}

type brief struct {
	counter
	saved chan int
}

func (b *brief) Save(context.Context) error {
	b.saved <- b.n
	return nil
}

// TestFactoryFails: the calls that wait fail, and the next one tries again.
func TestFactoryFails(t *testing.T) {
	c := newCluster(t, "a")
	var tries atomic.Int64
	require.NoError(t, c.nodes["a"].Kind("shy", func(p cluster.Placement) (*counter, error) {
		switch tries.Add(1) {
		case 1:
			return nil, errors.New("not yet")
		case 2:
			panic("no")
		}
		assert.Positive(t, p.Token)
		return &counter{id: p.ID}, nil
	}))
	ref := c.nodes["a"].Get("shy", "x")
	_, err := ref.CallRemote("incr", 1).Await(testContext(t))
	require.ErrorContains(t, err, "not yet")
	_, err = ref.CallRemote("incr", 1).Await(testContext(t))
	require.ErrorContains(t, err, "panicked")
	assert.Equal(t, 1, call[int](t, ref, "incr", 1))
}

func TestBadKinds(t *testing.T) {
	n := newCluster(t, "a").nodes["a"]
	for name, err := range map[string]error{
		"no function":   n.Kind("k1", 1),
		"no object":     n.Kind("k2", func(string) int { return 1 }),
		"no parameter":  n.Kind("k3", func() *counter { return nil }),
		"no name":       n.Kind("", func(string) *counter { return nil }),
		"twice":         n.Kind("counter", func(string) *counter { return nil }),
		"other object":  n.Kind("k4", func(string) *counter { return nil }, cluster.OnPassivate((*brief).Save)),
		"no time":       n.Kind("k5", func(string) *counter { return nil }, cluster.IdleAfter(0)),
		"bad passivate": n.Kind("k6", func(string) *counter { return nil }, cluster.OnPassivate(func() {})),
		"nil option":    n.Kind("k7", func(string) *counter { return nil }, nil),
	} {
		require.Error(t, err, name)
	}
}

// TestDirectoryKeysDeleted: a node whose keys were deleted drops its objects, joins anew, and serves on.
func TestDirectoryKeysDeleted(t *testing.T) {
	c := newCluster(t, "a", "b")
	ref := c.on("b", c.nodes["a"])
	require.Equal(t, 1, call[int](t, ref, "incr", 1))
	got, err := c.store.Get(testContext(t), "pb/")
	require.NoError(t, err)
	for _, e := range got.Entries {
		c.delete(e.Key)
	}
	pbtest.Eventually(t, func() bool {
		n, err := flavors.As[int](ref.CallRemote("incr", 1).Await(testContext(t)))
		return err == nil && n == 1
	})
	pbtest.Eventually(t, func() bool { return len(c.nodes["a"].Members()) == 2 })
}
