package broker_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// tally is a Cacheable that counts: its state is the count, and each update is the next number. So tests know what a
// cache should have seen.
type tally struct {
	flavors.Cacheable
	n       int
	began   atomic.Int64
	stopped atomic.Int64
}

func (*tally) TypeToCopy() string { return "test.Tally" }

func (l *tally) StateToCacheAndObserveFor(any, *flavors.Observer) any {
	l.began.Add(1)
	return l.n
}

func (l *tally) StoppedObserving(any, *flavors.Observer) { l.stopped.Add(1) }

// next sends the next number to all observers.
func (l *tally) next() *actor.Deferred {
	return flavors.Update(l, func(observers flavors.Observers) {
		l.n++
		_ = observers.CallRemote("next", l.n)
	})
}

func (l *tally) observers(t *testing.T) (n int) {
	t.Helper()
	_, err := flavors.Update(l, func(observers flavors.Observers) { n = observers.Len() }).Await(t.Context())
	require.NoError(t, err)
	return n
}

// tallyCopy notes updates that are out of order.
type tallyCopy struct {
	flavors.RemoteCache
	n     int
	wrong []string
}

func (l *tallyCopy) SetCopyableState(state any) error { return jelly.Assign(&l.n, state) }

func (l *tallyCopy) ObserveNext(n int) {
	if n != l.n+1 {
		l.wrong = append(l.wrong, fmt.Sprintf("%d came after %d", n, l.n))
	}
	l.n = n
}

// tallies serves one tally.
type tallies struct {
	flavors.Root
	tally tally
}

func (l *tallies) RemoteGet() *tally { return &l.tally }
func (l *tallies) RemoteSync()       {}

func tallyRegistry(t *testing.T) broker.Option {
	r := jelly.NewRegistry()
	require.NoError(t, flavors.RegisterCache[tallyCopy](r, "test.Tally"))
	return broker.WithRegistry(r)
}

// customer connects to the server.
func (s *server) customer(opts ...broker.DialOption) *broker.Conn {
	s.t.Helper()
	conn, err := broker.NewClientConn(s.t.Context(), s.rt, s.dial(), opts...)
	require.NoError(s.t, err)
	return conn
}

func getTally(ctx context.Context, conn *broker.Conn) (*flavors.Cached[tallyCopy], error) {
	return flavors.Call[*flavors.Cached[tallyCopy]](ctx, conn.Root(), "get")
}

// wantFollowed checks that a cache has received each update once and in order.
func wantFollowed(t *testing.T, conn *broker.Conn, c *flavors.Cached[tallyCopy], n int) {
	t.Helper()
	_, err := flavors.Call[any](t.Context(), conn.Root(), "sync") // All that was sent before the answer has arrived.
	assert.NoError(t, err)
	assert.NoError(t, c.View(func(copy *tallyCopy) {
		assert.Empty(t, copy.wrong)
		assert.Equal(t, n, copy.n)
	}))
}

// TestUpdatesReachAllObservers opens a hundred connections during updates, and then makes a thousand updates at once.
func TestUpdatesReachAllObservers(t *testing.T) {
	const observers, updates = 100, 1000
	root := &tallies{}
	s := newServer(t, root)
	registry := tallyRegistry(t)
	conns := make([]*broker.Conn, observers)
	for i := range conns {
		conns[i] = s.customer(registry)
	}
	copies := make([]*flavors.Cached[tallyCopy], observers)
	var group sync.WaitGroup
	var begun atomic.Int64
	for i, conn := range conns {
		group.Go(func() {
			var err error
			copies[i], err = getTally(t.Context(), conn)
			assert.NoError(t, err)
			begun.Add(1)
		})
	}
	for begun.Load() < observers {
		require.NoError(t, await(t, root.tally.next()))
	}
	group.Wait()
	var last *actor.Deferred
	for range updates {
		last = root.tally.next()
	}
	require.NoError(t, await(t, last))
	require.Equal(t, observers, root.tally.observers(t))
	total := 0
	require.NoError(t, await(t, root.tally.Do(func() { total = root.tally.n })))
	require.GreaterOrEqual(t, total, updates)
	for i, conn := range conns {
		wantFollowed(t, conn, copies[i], total)
	}
}

func await(t *testing.T, d *actor.Deferred) error {
	_, err := d.Await(t.Context())
	return err
}

// TestReleaseAndTakeDuringUpdates has decaches and uncaches cross first mentions.
func TestReleaseAndTakeDuringUpdates(t *testing.T) {
	const takers, rounds = 8, 50
	root := &tallies{}
	s := newServer(t, root)
	registry := tallyRegistry(t)
	done := make(chan struct{})
	var updater, group sync.WaitGroup
	updater.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				// An update without room would end its connection, so wait for the slowest.
				for _, conn := range s.ln.Conns() {
					_ = conn.WaitWritable(t.Context())
				}
				_ = await(t, root.tally.next())
			}
		}
	})
	for range takers {
		conn := s.customer(registry)
		group.Go(func() {
			for range rounds {
				// With two calls at once, one answer may mention what is being released because of the other.
				other := conn.Root().CallRemote("get")
				c, err := getTally(t.Context(), conn)
				if !assert.NoError(t, err) {
					return
				}
				assert.NoError(t, c.View(func(copy *tallyCopy) { assert.Empty(t, copy.wrong) }))
				c.Release()
				v, err := other.Await(t.Context())
				if !assert.NoError(t, err) {
					return
				}
				v.(*flavors.Cached[tallyCopy]).Release()
			}
		})
	}
	group.Wait()
	close(done)
	updater.Wait()
	require.Eventually(t, func() bool { return root.tally.observers(t) == 0 }, wire.Timeout, time.Millisecond)
	require.Equal(t, root.tally.began.Load(), root.tally.stopped.Load(), "each observer is removed once")
}

func TestDisconnectRemovesObservers(t *testing.T) {
	root := &tallies{}
	s := newServer(t, root)
	registry := tallyRegistry(t)
	stays, leaves, drops := s.customer(registry), s.customer(registry), s.customer(registry)
	for _, conn := range []*broker.Conn{stays, leaves, leaves, drops} {
		_, err := getTally(t.Context(), conn)
		require.NoError(t, err)
	}
	c, err := getTally(t.Context(), drops)
	require.NoError(t, err)
	c.Release()
	c.Release() // The decaches may be under way when the connection ends.
	drops.Abort(nil)
	require.NoError(t, leaves.Close(t.Context()))
	require.Eventually(t, func() bool { return root.tally.stopped.Load() == 2 }, wire.Timeout, time.Millisecond)
	require.Equal(t, 1, root.tally.observers(t))
	kept, err := getTally(t.Context(), stays)
	require.NoError(t, err)
	require.NoError(t, await(t, root.tally.next()))
	wantFollowed(t, stays, kept, 1)
	require.EqualValues(t, 2, root.tally.stopped.Load())
}

// TestSlowObserver has one peer that does not read. The others get all updates. When too much waits for that peer, it
// loses its connection and not an update.
func TestSlowObserver(t *testing.T) {
	root := &tallies{}
	s := newServer(t, root, broker.WithLimits(broker.Limits{WriteHighWater: 1 << 10, MaxWriteBacklog: 16 << 10}))
	slow := s.peer()
	slow.Write(`[message 1 root get 1 [tuple] [dictionary]]`)
	slow.Want(`[answer 1 ["test.Tally" 1 0]]`)
	registry := tallyRegistry(t)
	quick := s.customer(registry)
	c, err := getTally(t.Context(), quick)
	require.NoError(t, err)
	n := 0
	for root.tally.observers(t) == 2 {
		require.NoError(t, await(t, root.tally.next()))
		n++
		if n%100 == 0 {
			wantFollowed(t, quick, c, n)
		}
	}
	wantFollowed(t, quick, c, n)
	require.EqualValues(t, 1, root.tally.stopped.Load())
}
