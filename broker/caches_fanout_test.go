package broker_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// followedTallies has a tally that is followed as well.
type followedTallies struct {
	tallies
	followed atomic.Bool
}

// RemoteFollow begins to follow the tally for a feed.
func (l *followedTallies) RemoteFollow(feed *flavors.RemoteReference) error {
	f, err := flavors.Follow(&l.tally, feed, nil)
	if err == nil {
		f.SendState()
		l.followed.Store(true)
	}
	return err
}

// RemoteNext is answered after the update is sent.
func (l *followedTallies) RemoteNext() any { return l.tally.next() }

// feed gets the updates of a Follower.
type feed struct {
	flavors.Referenceable
	updates []int
}

func (*feed) RemoteState(int) {}

func (f *feed) RemoteUpdate(_ string, args jelly.Tuple) error {
	var n int
	err := jelly.Assign(&n, args[0])
	f.updates = append(f.updates, n)
	return err
}

// Peers of several dialects and a Follower among many observers get each update once and in order, and in front of an
// answer that was sent later.
func TestFanOutToDifferentObservers(t *testing.T) {
	t.Run("one dialect", func(t *testing.T) { testFanOut(t, banana.ProfilePB) })
	t.Run("all dialects", func(t *testing.T) { testFanOut(t, banana.ProfilePB1, banana.ProfilePB, banana.ProfileNone) })
}

func testFanOut(t *testing.T, dialects ...banana.Profile) {
	const observers, updates = 150, 20
	root := &followedTallies{}
	s := newServer(t, root)
	registry := tallyRegistry(t)
	conns := make([]*broker.Conn, observers)
	copies := make([]*flavors.Cached[tallyCopy], observers)
	follower, follows := s.customer(broker.WithDialects(dialects[0])), &feed{}
	for i := range conns {
		if i == observers/2 {
			_, err := flavors.Call[any](t.Context(), follower.Root(), "follow", follows)
			require.NoError(t, err)
			require.True(t, root.followed.Load())
		}
		conns[i] = s.customer(registry, broker.WithDialects(dialects[i%len(dialects)]))
		var err error
		copies[i], err = getTally(t.Context(), conns[i])
		require.NoError(t, err)
	}
	var want []int
	for n := range updates {
		want = append(want, n+1)
		conn, c := conns[n], copies[n]
		_, err := flavors.Call[any](t.Context(), conn.Root(), "next")
		require.NoError(t, err)
		require.NoError(t, c.View(func(c *tallyCopy) { require.Equal(t, n+1, c.n, "the answer came first") }))
	}
	for i, conn := range conns {
		wantFollowed(t, conn, copies[i], updates)
	}
	_, err := flavors.Call[any](t.Context(), follower.Root(), "sync")
	require.NoError(t, err)
	require.NoError(t, await(t, follows.Do(func() { assert.Equal(t, want, follows.updates) })))
}

// One peer of many does not read. The others get all updates, and it loses its connection when too much waits for it.
func TestSlowObserverAmongMany(t *testing.T) {
	const observers = 60
	root := &tallies{}
	s := newServer(t, root, broker.WithLimits(broker.Limits{WriteHighWater: 1 << 10, MaxWriteBacklog: 16 << 10}))
	registry := tallyRegistry(t)
	conns := make([]*broker.Conn, observers)
	copies := make([]*flavors.Cached[tallyCopy], observers)
	for i := range conns {
		if i == observers/2 {
			slow := s.peer()
			slow.Write(`[message 1 root get 1 [tuple] [dictionary]]`)
			slow.Want(`[answer 1 ["test.Tally" 1 0]]`)
		}
		conns[i] = s.customer(registry)
		var err error
		copies[i], err = getTally(t.Context(), conns[i])
		require.NoError(t, err)
	}
	n := 0
	for root.tally.observers(t) > observers {
		require.NoError(t, await(t, root.tally.next()))
		if n++; n%50 == 0 {
			for i, conn := range conns {
				wantFollowed(t, conn, copies[i], n)
			}
		}
	}
	for i, conn := range conns {
		wantFollowed(t, conn, copies[i], n)
	}
	require.EqualValues(t, 1, root.tally.stopped.Load())
}

// Connections end while updates are sent to many observers: each observer is removed once, and the others get all.
func TestObserversLeaveDuringFanOut(t *testing.T) {
	const observers = 100
	root := &tallies{}
	s := newServer(t, root)
	registry := tallyRegistry(t)
	var stay []*broker.Conn
	var leave []*broker.Conn
	var copies []*flavors.Cached[tallyCopy]
	for i := range observers {
		conn := s.customer(registry)
		c, err := getTally(t.Context(), conn)
		require.NoError(t, err)
		if i%2 == 0 {
			stay, copies = append(stay, conn), append(copies, c)
		} else {
			leave = append(leave, conn)
		}
	}
	n := 0
	for _, conn := range leave {
		d := root.tally.next()
		conn.Abort(nil)
		require.NoError(t, await(t, d))
		n++
	}
	require.Eventually(t, func() bool { return root.tally.stopped.Load() == int64(len(leave)) }, wire.Timeout,
		time.Millisecond)
	for i, conn := range stay {
		wantFollowed(t, conn, copies[i], n)
	}
	require.Equal(t, len(stay), root.tally.observers(t))
}
