package broker_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/command"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestCancelStorm calls an object that is busy and cancels each call at once. What waits for the object stays within
// the limit of unanswered calls, each call has one answer, and others are served (P-9.11).
func TestCancelStorm(t *testing.T) {
	const limit, calls = 100, 1000
	w := newWorkshop()
	limits := broker.DefaultLimits()
	limits.CallsIn = limit
	s, p := visitWorkshop(t, w, 1, broker.WithLimits(limits))
	bystander := s.Dial()
	p.Write(`[message 1 $w1 work 1 [tuple] [dictionary]]`)
	<-w.began
	cancelled, busy := 0, 0
	for id := 2; id < 2+calls; id++ {
		p.Write(fmt.Sprintf(`[message %d $w1 quick 1 [tuple] [dictionary]]`, id), fmt.Sprintf(`[cancel %d]`, id),
			fmt.Sprintf(`[cancel %d]`, id+calls))
		p.Forget("failure")
		p.Want(fmt.Sprintf(`[error %d $failure]`, id))
		switch text := banana.Format(p.Var("failure")); {
		case strings.Contains(text, left):
			cancelled++
		case strings.Contains(text, `"perspectivebroker.Busy"`):
			busy++
		}
	}
	assert.Equal(t, limit-1, cancelled)
	assert.Equal(t, calls-limit+1, busy)
	n, err := flavors.Call[int](t.Context(), bystander.Root(), "echo", 7)
	require.NoError(t, err)
	assert.Equal(t, 7, n)
	close(w.gate)
	p.Want(`[answer 1 [unicode done]]`)
	p.Write(`[message 5000 $w1 quick 1 [tuple] [dictionary]]`)
	p.Want(`[answer 5000 [unicode quick]]`)
	p.WantIdle()
	assert.Len(t, w.began, 1)
}

// TestCancelsOfNothing sends cancels by the thousand that mean nothing (P-9.12).
func TestCancelsOfNothing(t *testing.T) {
	w := newWorkshop()
	s, p := visitWorkshop(t, w, 0)
	bystander := s.Dial()
	for range 20 {
		var b []byte
		for id := range int64(5000) {
			b = command.AppendCancel(b, banana.ProfilePB1, command.Number{Int: id})
			b = command.AppendGoaway(b, banana.ProfilePB1, "again")
		}
		p.WriteBytes(b)
		n, err := flavors.Call[int](t.Context(), bystander.Root(), "echo", 7)
		require.NoError(t, err)
		assert.Equal(t, 7, n)
	}
	p.WantIdle()
}

// TestMetadataFlood makes calls with as much metadata as one may have to an object that is busy. What they hold is
// counted and bounded, each has one answer, others are served, and nothing is left (P-9.4).
func TestMetadataFlood(t *testing.T) {
	const size, calls, limit = flavors.MaxMetadataBytes - 64, 200, 1 << 20
	for name, metadata := range map[string]string{
		"many keys": func() string {
			var b strings.Builder
			for i := range flavors.MaxMetadataEntries {
				fmt.Fprintf(&b, " [[unicode k%02d] [unicode %s]]", i, strings.Repeat("v", 90))
			}
			return b.String()
		}(),
		"a long key":   " [[unicode " + strings.Repeat("k", size) + "] v]",
		"a long value": " [[unicode k] [unicode " + strings.Repeat("v", size) + "]]",
		"bytes":        ` [[unicode k] "` + strings.Repeat(`\xff`, size) + `"]`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorkshop()
			limits := broker.DefaultLimits()
			limits.BytesIn = limit
			s, p := visitWorkshop(t, w, 1, broker.WithLimits(limits))
			bystander := s.Dial()
			p.Write(`[message 1 $w1 work 1 [tuple] [dictionary]]`)
			<-w.began
			for id := 2; id < 2+calls; id++ {
				p.Write(fmt.Sprintf(`[message %d $w1 plain 1 [tuple 7] [dictionary] [dictionary%s]]`, id, metadata))
			}
			n, err := flavors.Call[int](t.Context(), bystander.Root(), "echo", 7)
			require.NoError(t, err)
			assert.Equal(t, 7, n)
			for p.Var("refused") == nil {
				p.Forget("failure")
				p.Want(`[error $refused $failure]`)
				assert.Contains(t, banana.Format(p.Var("failure")), `"perspectivebroker.Busy"`)
			}
			waiting := broker.StatsOf(s.Runtime)
			assert.InDelta(t, limit, waiting.BytesUnanswered, limit/8, "the metadata counts")
			assert.Less(t, waiting.CallsIn.Pending, limit*5/4/6000)
			close(w.gate)
			p.Ignore(`[error _ _]`)
			p.Ignore(`[answer _ 7]`)
			p.Want(`[answer 1 [unicode done]]`)
			require.Eventually(t, func() bool {
				now := broker.StatsOf(s.Runtime)
				return now.BytesUnanswered == 0 && now.CallsIn.Pending == 0
			}, patience, tick)
			p.Write(`[message 5000 $w1 quick 1 [tuple] [dictionary]]`)
			p.Want(`[answer 5000 [unicode quick]]`)
		})
	}
}

// TestDeadlineStorm makes calls to an object that is busy, with hardly any time or a thousand years. Each has one
// answer, and no timer outlives its call (P-9.6, P-9.8).
func TestDeadlineStorm(t *testing.T) {
	const calls = 2000
	w := newWorkshop()
	s, p := visitWorkshop(t, w, 1)
	bystander := s.Dial()
	p.Write(`[message 1 $w1 work 1 [tuple] [dictionary]]`)
	<-w.began
	for id := 2; id < 2+calls; id += 2 {
		p.Write(fmt.Sprintf(`[message %d $w1 plain 1 [tuple 7] [dictionary] %s]`, id, timeout(1)),
			fmt.Sprintf(`[message %d $w1 plain 1 [tuple 7] [dictionary] %s]`, id+1, timeout(int64(math.MaxInt64))))
	}
	for range calls / 2 {
		p.Forget("failure")
		p.Want(`[error _ $failure]`)
		assert.Contains(t, banana.Format(p.Var("failure")), tooLate)
	}
	n, err := flavors.Call[int](t.Context(), bystander.Root(), "echo", 7)
	require.NoError(t, err)
	assert.Equal(t, 7, n)
	close(w.gate)
	p.Want(`[answer 1 [unicode done]]`)
	for range calls / 2 {
		p.Want(`[answer _ 7]`)
	}
	p.WantIdle()
	assert.Zero(t, broker.StatsOf(s.Runtime).CallsIn.Pending)
}

// TestOddDeadlinesOfCaller calls with contexts whose deadlines are long past or beyond what a clock can count.
func TestOddDeadlinesOfCaller(t *testing.T) {
	w := newWorkshop()
	s := pbtest.NewServer(t, w)
	w.rt = s.Runtime
	conn := s.Dial()
	worker, err := flavors.Call[*flavors.RemoteReference](t.Context(), conn.Root(), "worker")
	require.NoError(t, err)
	for _, when := range []time.Time{time.Now().AddDate(1000, 0, 0), time.Unix(1<<55, 0), time.Unix(1<<62, 999)} {
		ctx, cancel := context.WithDeadline(t.Context(), when)
		ms, err := flavors.Call[int64](ctx, worker, "left")
		require.NoError(t, err, "%v", when)
		assert.Equal(t, int64(1_000_000), ms)
		cancel()
	}
	for _, when := range []time.Time{{}, time.Unix(0, 0), time.Unix(-1<<55, 0), time.Now()} {
		ctx, cancel := context.WithDeadline(t.Context(), when)
		_, err := flavors.Call[int64](ctx, worker, "left")
		require.ErrorIs(t, err, context.DeadlineExceeded, "%v", when)
		_ = flavors.Send(ctx, worker, "quick") // It is written if there is room, and not run.
		cancel()
	}
	assert.Empty(t, w.began)
}

// TestZeroDeadline calls with a context that ended at the zero time: the peer is told that the time is over (P-9.7).
func TestZeroDeadline(t *testing.T) {
	conn, p, err := dialScripted(t, newRuntime(t), func(p *wire.Peer) { p.HostAs(banana.ProfilePB1) })
	require.NoError(t, err)
	ctx, cancel := context.WithDeadline(t.Context(), time.Time{})
	defer cancel()
	d := conn.Root().CallRemoteContext(ctx, "left")
	p.Want(`[message 1 root left 1 [tuple] [dictionary] [dictionary [["unicode" "timeout"] _]]]`)
	p.Write(`[answer 1 0]`)
	require.NoError(t, pbtest.ErrorOf(d))
}
