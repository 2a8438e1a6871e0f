package flavors_test

import (
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/require"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// gauge is an original whose state is a number that rises.
type gauge struct {
	flavors.Cacheable
	n       int
	stopped atomic.Int64
}

func (*gauge) TypeToCopy() string                                     { return "test.Gauge" }
func (g *gauge) StateToCacheAndObserveFor(any, *flavors.Observer) any { return g.n }
func (g *gauge) StoppedObserving(any, *flavors.Observer)              { g.stopped.Add(1) }

func (g *gauge) rise() *actor.Deferred {
	return flavors.Update(g, func(observers flavors.Observers) {
		g.n++
		_ = observers.CallRemote("next", g.n)
	})
}

func (g *gauge) observers(t *testing.T) (n int) {
	t.Helper()
	require.NoError(t, errorOf(flavors.Update(g, func(observers flavors.Observers) { n = observers.Len() })))
	return n
}

// gaugeCopy is the local copy of a gauge.
type gaugeCopy struct {
	flavors.RemoteCache
	n int
}

func (g *gaugeCopy) SetCopyableState(state any) error { return jelly.Assign(&g.n, state) }
func (g *gaugeCopy) ObserveNext(n int)                { g.n = n }

// station serves a gauge.
type station struct {
	flavors.Root
	gauge gauge
}

func (s *station) RemoteGet() *gauge { return &s.gauge }
func (s *station) RemoteSync()       {}

// keeper keeps a copy of the peer's gauge.
type keeper struct {
	flavors.Root
	copy *flavors.Cached[gaugeCopy]
}

func (k *keeper) RemoteTake(c *flavors.Cached[gaugeCopy])  { k.copy = c }
func (k *keeper) RemoteReturn() *flavors.Cached[gaugeCopy] { return k.copy }
func (k *keeper) RemoteShown() (n int, err error) {
	err = k.copy.View(func(c *gaugeCopy) { n = c.n })
	return n, err
}

func gauges(t *testing.T) broker.Option {
	t.Helper()
	r := jelly.NewRegistry()
	require.NoError(t, flavors.RegisterCache[gaugeCopy](r, "test.Gauge"))
	return broker.WithRegistry(r)
}

func getGauge(t *testing.T, conn *broker.Conn) *flavors.Cached[gaugeCopy] {
	t.Helper()
	c, err := flavors.Call[*flavors.Cached[gaugeCopy]](t.Context(), conn.Root(), "get")
	require.NoError(t, err)
	return c
}

// wantShown checks the copy's state after the updates that were sent before an answer.
func wantShown(t *testing.T, conn *broker.Conn, c *flavors.Cached[gaugeCopy], n int) {
	t.Helper()
	_, err := flavors.Call[any](t.Context(), conn.Root(), "sync")
	require.NoError(t, err)
	require.NoError(t, c.View(func(copy *gaugeCopy) { require.Equal(t, n, copy.n) }))
}

// TestCollectedCopyReleased drops a copy and waits for the garbage collector.
func TestCollectedCopyReleased(t *testing.T) {
	root := &station{}
	s := newServer(t, root)
	conn := s.Dial(gauges(t))
	func() {
		c := getGauge(t, conn)
		require.NoError(t, c.View(func(*gaugeCopy) {}))
	}()
	require.Eventually(t, func() bool {
		runtime.GC()
		return root.gauge.observers(t) == 0
	}, wire.Timeout, time.Millisecond)
	require.EqualValues(t, 1, root.gauge.stopped.Load())
}

// TestLinkedCopy links two actors and stops them one after the other.
func TestLinkedCopy(t *testing.T) {
	root := &station{}
	s := newServer(t, root)
	conn := s.Dial(gauges(t))
	c := getGauge(t, conn)
	linked := make(chan struct{}, 2)
	props := s.Runtime.Props(func() protoactor.Actor {
		return protoactor.ReceiveFunc(func(ctx protoactor.Context) {
			if _, ok := ctx.Message().(*protoactor.Started); ok {
				flavors.Link(ctx, c)
				linked <- struct{}{}
			}
		})
	})
	first, second := s.Runtime.Root().Spawn(props), s.Runtime.Root().Spawn(props)
	<-linked
	<-linked
	s.Runtime.Root().Stop(first)
	require.NoError(t, errorOf(root.gauge.rise()))
	wantShown(t, conn, c, 1)
	s.Runtime.Root().Stop(second)
	require.Eventually(t, func() bool { return root.gauge.observers(t) == 0 }, wire.Timeout, time.Millisecond)
	require.ErrorIs(t, c.View(func(*gaugeCopy) {}), flavors.ErrReleased)
	require.ErrorIs(t, errorOf(c.Do(func(*gaugeCopy) {})), flavors.ErrReleased)
	_, err := flavors.Call[any](t.Context(), conn.Root(), "sync", c)
	require.ErrorIs(t, err, flavors.ErrReleased)
}

// TestStaleCopyReadable views a copy after the end of its connection.
func TestStaleCopyReadable(t *testing.T) {
	root := &station{}
	s := newServer(t, root)
	conn := s.Dial(gauges(t))
	c := getGauge(t, conn)
	require.NoError(t, errorOf(root.gauge.rise()))
	wantShown(t, conn, c, 1)
	before := c.LastUpdate()
	_, stale := c.Stale()
	require.False(t, stale)
	conn.Abort(nil)
	<-conn.Done()
	require.NoError(t, errorOf(root.gauge.rise()))
	since, stale := c.Stale()
	require.True(t, stale)
	require.False(t, since.Before(before))
	require.Equal(t, before, c.LastUpdate())
	var n int
	require.NoError(t, c.View(func(copy *gaugeCopy) { n = copy.n }))
	require.Equal(t, 1, n)
	require.NoError(t, errorOf(c.Do(func(copy *gaugeCopy) { n = copy.n + 1 })))
	require.Equal(t, 2, n)
	another := s.Dial(gauges(t))
	_, err := flavors.Call[any](t.Context(), another.Root(), "sync", c)
	require.ErrorIs(t, err, flavors.InsecureJelly, "it is good on its own connection only")
}

func TestCopyAsArgument(t *testing.T) {
	root := &keeper{}
	s := newServer(t, root, gauges(t))
	conn := s.Dial()
	mine := &gauge{n: 1}
	_, err := flavors.Call[any](t.Context(), conn.Root(), "take", mine)
	require.NoError(t, err)
	require.NoError(t, errorOf(flavors.Update(mine, func(o flavors.Observers) {
		mine.n++
		require.NoError(t, o.CallRemote("next", 2))
		for observer := range o.All() {
			require.Same(t, conn, observer.Conn())
			require.Nil(t, observer.Perspective())
		}
	})))
	n, err := flavors.Call[int](t.Context(), conn.Root(), "shown")
	require.NoError(t, err)
	require.Equal(t, 2, n)
	home, err := conn.Root().CallRemote("return").Await(t.Context())
	require.NoError(t, err)
	require.Same(t, mine, home)
	var answer any
	for o := range slices.Values(slices.Collect(mine.Observers().All())) {
		answer, err = o.CallRemote("next", 3).Await(t.Context())
		require.NoError(t, err)
		require.Nil(t, answer)
		_, err = o.CallRemote("nosuch").Await(t.Context())
		require.ErrorIs(t, err, flavors.NoSuchMethod)
	}
}
