package broker_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// balanced checks that each call has been counted once.
func balanced(t *testing.T, k broker.Calls) {
	t.Helper()
	assert.Equal(t, k.Made, k.Answered+k.Failed+k.Cancelled+uint64(k.Pending), "%+v", k)
}

func TestConnStats(t *testing.T) {
	d := &desk{}
	rt, far := newRuntime(t), newRuntime(t)
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", d)
	require.NoError(t, err)
	conn, err := broker.Dial(t.Context(), far, ln.URL())
	require.NoError(t, err)

	answered := conn.Root().CallRemote("ask", []byte("a"))
	_, err = flavors.Call[any](t.Context(), conn.Root(), "noSuchMethod")
	require.ErrorIs(t, err, flavors.NoSuchMethod)
	ctx, cancel := context.WithCancel(t.Context())
	givenUp := make(chan error)
	go func() {
		_, err := flavors.Call[any](ctx, conn.Root(), "ask", []byte("b"))
		givenUp <- err
	}()
	accepted := func() broker.Stats { return ln.Conns()[0].Stats() }
	require.Eventually(t, func() bool { return accepted().CallsIn.Pending == 2 }, patience, tick)
	require.Equal(t, 2, conn.Stats().CallsOut.Pending)
	require.Positive(t, accepted().BytesUnanswered)
	cancel()
	require.ErrorIs(t, <-givenUp, context.Canceled)
	require.Eventually(t, func() bool { return accepted().CallsIn.Cancelled == 1 }, patience, tick)
	d.Do(func() { d.RemoteAnswer() })
	_, err = result(t, answered)
	require.NoError(t, err)

	var in, out broker.Stats
	require.Eventually(t, func() bool { // What is written is counted after the peer may have read it.
		in, out = accepted(), conn.Stats()
		return in.CallsIn.Pending+out.CallsOut.Pending == 0 && out.BytesWaiting == 0 && in.BytesIn == out.BytesOut
	}, patience, tick)
	assert.Equal(t, broker.Calls{Made: 3, Answered: 1, Failed: 1, Cancelled: 1}, out.CallsOut)
	assert.Equal(t, broker.Calls{Made: 3, Answered: 1, Failed: 1, Cancelled: 1}, in.CallsIn)
	assert.Equal(t, in.BytesIn, out.BytesOut)
	assert.Equal(t, in.FramesIn, out.FramesOut)
	assert.Zero(t, in.BytesUnanswered)
	assert.Zero(t, out.BytesWaiting)
	assert.Empty(t, out.Refusals)

	// After the end the figures stay, those of the connection and those of the runtime.
	require.NoError(t, conn.Close(t.Context()))
	assert.Equal(t, out.CallsOut, conn.Stats().CallsOut)
	sum := broker.StatsOf(far)
	assert.Equal(t, out.CallsOut, sum.CallsOut)
	assert.Equal(t, broker.ConnStats{Dialed: 1, Closed: map[broker.CloseReason]uint64{"here": 1}}, sum.Conns)
	require.Eventually(t, func() bool { return broker.StatsOf(rt).Conns.Open == 0 }, patience, tick)
	assert.Equal(
		t,
		broker.ConnStats{Accepted: 1, Closed: map[broker.CloseReason]uint64{"peer": 1}},
		broker.StatsOf(rt).Conns,
	)
	assert.Zero(t, broker.StatsOf(rt).BytesHeld)
}

func TestCallsCountFailedAtEnd(t *testing.T) {
	rt, far := newRuntime(t), newRuntime(t)
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", &desk{})
	require.NoError(t, err)
	conn, err := broker.Dial(t.Context(), far, ln.URL())
	require.NoError(t, err)
	d := conn.Root().CallRemote("ask", []byte("never answered"))
	require.Eventually(t, func() bool { return broker.StatsOf(rt).CallsIn.Pending == 1 }, patience, tick)
	conn.Abort(errors.New("enough"))
	_, err = result(t, d)
	require.ErrorIs(t, err, flavors.ConnectionLost)
	<-conn.Done()
	assert.Equal(t, broker.Calls{Made: 1, Failed: 1}, conn.Stats().CallsOut)
	require.Eventually(
		t,
		func() bool { return broker.StatsOf(rt).CallsIn == broker.Calls{Made: 1, Failed: 1} },
		patience,
		tick,
	)
	assert.Equal(t, map[broker.CloseReason]uint64{"network": 1}, broker.StatsOf(far).Conns.Closed)
}

// TestFailureCountedBeforeCompletion looks in the very moment.
func TestFailureCountedBeforeCompletion(t *testing.T) {
	conn, p := client(t)
	seen := make(chan broker.Calls, 1)
	conn.Root().CallRemote("f").OnComplete(func(any, error) { seen <- conn.Stats().CallsOut })
	p.Want(`[message 1 root f 1 _ _]`)
	p.Write(`[error 1 [None]]`)
	require.Equal(t, broker.Calls{Made: 1, Failed: 1}, <-seen)
}

func TestTableStats(t *testing.T) {
	s := newServer(t, &service{})
	p := s.peer()
	p.Write(`[message 1 root new 1 [tuple] [dictionary]]`)
	p.Want(`[answer 1 [remote $luid]]`)
	p.Write(`[message 2 root hold 1 [tuple x [remote 7]] [dictionary]]`)
	p.Want(`[answer 2 _]`)
	stats := only(t, s).Stats
	require.Equal(t, 1, stats().Exports)
	require.Equal(t, 1, stats().Imports)
	p.Write(`[message 3 root release 1 [tuple x] [dictionary]]`)
	p.Want(`[decref 7]`, `[answer 3 _]`)
	p.Write(`[decref $luid]`)
	p.WantIdle()
	require.Zero(t, stats().Exports)
	require.Eventually(t, func() bool { return stats().Imports == 0 }, patience, tick)
	balanced(t, stats().CallsIn)
}

func TestRejectionsAreJSONKeys(t *testing.T) {
	text, err := json.Marshal(broker.Stats{Refusals: map[broker.Rejection]uint64{"insecure": 3}})
	require.NoError(t, err)
	require.Contains(t, string(text), `"insecure":3`)
}

// TestKeepaliveIsNotCounted: asking whether the peer is there changes neither statistics nor limits.
func TestKeepaliveIsNotCounted(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newServer(t, &service{}, broker.WithKeepalive(10*time.Second, 10*time.Second))
		p := s.peer()
		for range 3 {
			p.Want(`[message $n 0 ping 1 [tuple] [dictionary]]`)
			p.Write(`[error $n [None]]`)
			p.Forget("n")
		}
		p.Write(`[message 1 root noSuchMethod 1 [tuple] [dictionary]]`)
		wantAnyError(p, 1)
		require.Zero(t, only(t, s).Stats().CallsOut)
	})
}

func TestSnapshotIsACopy(t *testing.T) {
	s := newServer(t, &service{})
	p := s.peer()
	p.Write(`[message 1 nobody f 1 [tuple] [dictionary]]`)
	wantAnyError(p, 1)
	conn := only(t, s)
	clear(conn.Stats().Refusals)
	clear(broker.StatsOf(s.rt).Refusals)
	require.Equal(t, map[broker.Rejection]uint64{"unknown object": 1}, conn.Stats().Refusals)
	p.Close()
	<-conn.Done()
	clear(conn.Stats().Refusals)
	clear(broker.StatsOf(s.rt).Refusals)
	require.Equal(t, map[broker.Rejection]uint64{"unknown object": 1}, broker.StatsOf(s.rt).Refusals)
}
