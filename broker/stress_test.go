package broker_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// lonely has no lock. Only the turn of its actor protects it.
type lonely struct {
	flavors.Referenceable
	n    int
	busy atomic.Bool
}

func (x *lonely) RemoteIncr() (int, error) {
	if !x.busy.CompareAndSwap(false, true) {
		return 0, flavors.RuntimeError.New("two calls at once")
	}
	defer x.busy.Store(false)
	x.n++
	return x.n, nil
}

// registry returns its lonelies.
type registry struct {
	flavors.Root
	lonelies [3]lonely
}

func (r *registry) RemoteGet(i int) *lonely { return &r.lonelies[i] }

// Connections get, call and release a few objects thousands of times, so that objects are sent while their actors end.
// Every call runs exactly once and alone.
func TestSendObjectWhileActorEnds(t *testing.T) {
	root := &registry{}
	rt := newRuntime(t)
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", root)
	require.NoError(t, err)
	const connections, rounds = 4, 300
	var done [len(root.lonelies)]atomic.Int64
	var wg sync.WaitGroup
	for c := range connections {
		wg.Go(func() {
			conn, err := broker.Dial(t.Context(), rt, ln.URL())
			if !assert.NoError(t, err) {
				return
			}
			for i := range rounds {
				which := (c + i) % len(root.lonelies)
				ref, err := flavors.Call[*flavors.RemoteReference](t.Context(), conn.Root(), "get", which)
				if !assert.NoError(t, err) {
					return
				}
				var calls []*actor.Deferred
				for range i % 5 {
					calls = append(calls, ref.CallRemote("incr"))
				}
				if i%2 == 0 { // The decref comes after the calls, and all calls are answered.
					ref.Release()
				}
				for _, d := range calls {
					_, err := d.Await(t.Context())
					if !assert.NoError(t, err) {
						return
					}
					done[which].Add(1)
				}
				if i%2 == 1 {
					ref.Release()
				}
			}
			assert.NoError(t, conn.Close(context.Background()))
		})
	}
	wg.Wait()
	for i := range root.lonelies {
		x := &root.lonelies[i]
		var n int
		require.NoError(t, errorOf(x.Do(func() { n = x.n })))
		require.EqualValues(t, done[i].Load(), n, "each call ran exactly once")
	}
}

func TestManyCallsInFlight(t *testing.T) {
	gate := &gate{}
	here, _ := dialTCPTo(t, gate)
	const many = 10_000
	calls := make([]*actor.Deferred, many)
	for i := range calls {
		for {
			calls[i] = here.Root().CallRemote("wait", i)
			if _, err, ok := calls[i].Result(); !ok || err == nil {
				break
			}
			require.NoError(t, here.WaitWritable(t.Context())) // CallRemote fails where Call would wait.
		}
	}
	// No call is answered before the last one has arrived.
	_, err := flavors.Call[any](t.Context(), here.Root(), "open", many)
	require.NoError(t, err)
	for i, d := range calls {
		v, err := result(t, d)
		require.NoError(t, err)
		require.EqualValues(t, i, v)
	}
}

// gate does not answer wait before open is called.
type gate struct {
	flavors.Root
	waiting []func()
}

func (g *gate) RemoteWait(inv *flavors.Invocation, i int) *actor.Deferred {
	d := actor.NewDeferred(inv.Conn().Runtime())
	g.waiting = append(g.waiting, func() { d.Complete(i, nil) })
	return d
}

func (g *gate) RemoteOpen(want int) error {
	if len(g.waiting) != want {
		return fmt.Errorf("%d calls are there, not %d", len(g.waiting), want)
	}
	for _, f := range g.waiting {
		f()
	}
	return nil
}

// dialTCPTo returns a connection to a root and its listener.
func dialTCPTo(t *testing.T, root any, opts ...broker.Option) (*broker.Conn, *broker.Listener) {
	t.Helper()
	rt := newRuntime(t)
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", root, broker.WithOptions(opts...))
	require.NoError(t, err)
	conn, err := broker.Dial(t.Context(), rt, ln.URL(), broker.WithOptions(opts...))
	require.NoError(t, err)
	return conn, ln
}

func TestManyConnections(t *testing.T) {
	rt := newRuntime(t)
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", &service{})
	require.NoError(t, err)
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			conn, err := broker.Dial(t.Context(), rt, ln.URL())
			if !assert.NoError(t, err) {
				return
			}
			for j := range 10 {
				sum, err := flavors.Call[int](t.Context(), conn.Root(), "add", i, j)
				assert.NoError(t, err)
				assert.Equal(t, i+j, sum)
			}
		})
	}
	wg.Wait()
	require.Len(t, ln.Conns(), 200)
}

// mirror calls its caller back.
type mirror struct {
	flavors.Root
	deepest atomic.Int64
}

func (m *mirror) RemoteDown(inv *flavors.Invocation, depth int, back *flavors.RemoteReference) any {
	m.deepest.Store(max(m.deepest.Load(), int64(depth)))
	if depth == 20 {
		return depth
	}
	return back.CallRemote("down", depth+1, m).Then(inv, func(v any, err error) (any, error) { return v, err })
}

func TestNestedCallbacks(t *testing.T) {
	far, near := &mirror{}, &mirror{}
	conn, _ := dialTCPTo(t, far)
	depth, err := flavors.Call[int](t.Context(), conn.Root(), "down", 1, near)
	require.NoError(t, err)
	require.Equal(t, 20, depth)
	require.EqualValues(t, 19, far.deepest.Load())
	require.EqualValues(t, 20, near.deepest.Load())
}
