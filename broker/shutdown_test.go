package broker_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/stretchr/testify/require"
)

func TestShutdownWaitsForAnswers(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		g := &gate{}
		s := newServer(t, g)
		busy, idle := s.peer(), s.peer()
		busy.Write(`[message 1 root wait 1 [tuple 11] [dictionary]]`, `[message 2 root nosuch 1 [tuple] [dictionary]]`)
		wantAnyError(busy, 2) // The first is under way.

		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		stopped := make(chan error, 1)
		go func() { stopped <- s.ln.Shutdown(short) }()
		idle.WantClosed()
		err := <-stopped
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "with 1 calls in progress")
		require.Len(t, s.ln.Conns(), 1)

		go func() { stopped <- s.ln.Shutdown(t.Context()) }()
		busy.Write(`[message 3 root wait 1 [tuple 12] [dictionary]]`)
		wantError(t, busy, 3, "perspectivebroker.Busy")
		_, err = result(t, g.Do(func() { g.waiting[0]() }))
		require.NoError(t, err)
		busy.Want(`[answer 1 11]`)
		busy.WantClosed()
		require.NoError(t, <-stopped)
		require.Empty(t, s.ln.Conns())
		require.NoError(t, s.ln.Shutdown(t.Context()), "a second time")
	})
}

// TestShutdownSparesOthers wants other listeners and dialed connections of the runtime untouched.
func TestShutdownSparesOthers(t *testing.T) {
	rt := newRuntime(t)
	one, err := broker.Listen(rt, "pb://127.0.0.1:0", &service{})
	require.NoError(t, err)
	two, err := broker.Listen(rt, "pb://127.0.0.1:0", &service{})
	require.NoError(t, err)
	gone, err := broker.Dial(t.Context(), rt, one.URL())
	require.NoError(t, err)
	stays, err := broker.Dial(t.Context(), rt, two.URL())
	require.NoError(t, err)
	// A connection that is still negotiating at the server is cut.
	_, err = flavors.Call[int](t.Context(), gone.Root(), "add", 1, 2)
	require.NoError(t, err)
	require.NoError(t, one.Shutdown(t.Context()))
	<-gone.Done()
	require.ErrorIs(t, context.Cause(gone.Context()), broker.ErrPeerClosed)
	sum, err := flavors.Call[int](t.Context(), stays.Root(), "add", 1, 2)
	require.NoError(t, err)
	require.Equal(t, 3, sum)
	_, err = broker.Dial(t.Context(), rt, one.URL())
	require.Error(t, err)
}

// TestShutdownAtAnyStage has connections in each stage, and a peer that does not close its end.
func TestShutdownAtAnyStage(t *testing.T) {
	rt := newRuntime(t)
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", &service{})
	require.NoError(t, err)
	silent, err := new(net.Dialer).DialContext(t.Context(), "tcp", ln.Addr().String())
	require.NoError(t, err)
	defer silent.Close()
	conn, err := broker.Dial(t.Context(), newRuntime(t), ln.URL())
	require.NoError(t, err)
	_, err = flavors.Call[int](t.Context(), conn.Root(), "add", 1, 2)
	require.NoError(t, err)
	require.NoError(t, ln.Shutdown(t.Context()))
	require.Zero(t, broker.StatsOf(rt).Conns.Open+broker.StatsOf(rt).Conns.Opening)
	<-conn.Done()
}

// TestSlowRootFactory wants other connections served while a factory waits, and the waiting one to end in time.
func TestSlowRootFactory(t *testing.T) {
	for name, test := range map[string]struct {
		wait   time.Duration
		err    error
		served bool
	}{
		"in time":  {wait: 9 * time.Second, served: true},
		"too late": {wait: 20 * time.Second},
		"fails":    {wait: time.Second, err: errors.New("no home")},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				slow := make(chan struct{}, 1)
				slow <- struct{}{}
				s := newServer(t, broker.RootFactory(func(*broker.Conn) (any, error) {
					select {
					case <-slow:
						time.Sleep(test.wait)
						return &service{}, test.err
					default:
						return &service{}, nil
					}
				}), broker.WithLimits(broker.Limits{Handshake: 10 * time.Second}))
				start := time.Now()
				waiting := s.connect()
				synctest.Wait()
				quick := s.peer()
				quick.Write(`[message 1 root add 1 [tuple 1 2] [dictionary]]`)
				quick.Want(`[answer 1 3]`)
				require.Zero(t, time.Since(start))
				if test.served {
					waiting.Join()
					waiting.Write(`[message 1 root add 1 [tuple 1 2] [dictionary]]`)
					waiting.Want(`[answer 1 3]`)
				} else {
					waiting.WantClosed()
				}
				require.Equal(t, min(test.wait, 10*time.Second), time.Since(start))
				require.Len(t, s.ln.Conns(), map[bool]int{true: 2, false: 1}[test.served])
				time.Sleep(test.wait) // The factory returns, too late or not.
			})
		})
	}
}

// TestShutdownDuringFactory does not wait for a factory that blocks.
func TestShutdownDuringFactory(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	s := newServer(t, func(*broker.Conn) (any, error) {
		close(begun)
		<-release
		return &service{}, nil
	})
	p := s.connect()
	<-begun
	require.NoError(t, s.ln.Shutdown(t.Context()))
	p.WantClosed()
	close(release)
}
