package broker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// stall has methods with each kind of end.
type stall struct {
	flavors.Referenceable
	later  *actor.Deferred
	labels string
}

func (s *stall) RemoteBuy(n int) (int, error) {
	if n == 0 {
		return 0, flavors.ValueError.New("secret text")
	}
	return 2 * n, nil
}

func (s *stall) RemoteLastPrice() int         { return 7 }
func (s *stall) RemoteLater() *actor.Deferred { return s.later }
func (s *stall) RemoteChannel() any           { return make(chan int) }
func (s *stall) RemotePanics()                { panic("secret value") }
func (s *stall) RemoteSleep(d int)            { time.Sleep(time.Duration(d)) }
func (s *stall) RemoteLabels(ctx context.Context) {
	var out bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&out, 1)
	s.labels = out.String()
}

// anyName takes calls by any name.
type anyName struct{ flavors.Referenceable }

func (*anyName) HandleRemote(inv *flavors.Invocation) (any, error) {
	if strings.HasPrefix(inv.Method, "no") {
		return nil, flavors.NoSuchMethod.New("no")
	}
	return inv.Method, nil
}

// methodIn returns the figures of a method.
func methodIn(t *testing.T, list []broker.MethodStats, typ, method string) broker.MethodStats {
	t.Helper()
	for _, m := range list {
		if m.Type == typ && m.Method == method {
			return m
		}
	}
	require.Fail(t, "no such method", "%s.%s in %+v", typ, method, list)
	return broker.MethodStats{}
}

// pipeTo serves root in a runtime and calls it from another.
func pipeTo(
	t *testing.T,
	root any,
	opts ...broker.ListenOption,
) (rt, far *actor.Runtime, ref *flavors.RemoteReference) {
	t.Helper()
	rt, far = newRuntime(t), newRuntime(t)
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", root, opts...)
	require.NoError(t, err)
	conn, err := broker.Dial(t.Context(), far, ln.URL())
	require.NoError(t, err)
	return rt, far, conn.Root()
}

func TestMethodStats(t *testing.T) {
	s := &stall{later: actor.Succeeded(1)}
	rt, far, root := pipeTo(t, s)
	for range 3 {
		_, err := flavors.Call[int](t.Context(), root, "buy", 4)
		require.NoError(t, err)
	}
	for _, call := range []struct {
		method string
		args   []any
	}{{"buy", []any{0}}, {"later", nil}, {"channel", nil}, {"panics", nil}, {"lastPrice", nil}, {"last_price", nil}} {
		_, _ = flavors.Call[any](t.Context(), root, call.method, call.args...)
	}
	for i := range 100 {
		_, err := flavors.Call[any](t.Context(), root, fmt.Sprintf("missing%d", i))
		require.ErrorIs(t, err, flavors.NoSuchMethod)
	}
	require.NoError(t, root.CallRemoteNoAnswer("buy", 1))
	_, err := flavors.Call[any](t.Context(), root, "last_price")
	require.NoError(t, err)

	in, out := broker.StatsOf(rt), broker.StatsOf(far)
	assert.Equal(t, broker.Calls{Made: 5, Answered: 4, Failed: 1}, methodIn(t, in.MethodsIn, "stall", "buy").Calls)
	assert.Equal(t, broker.Calls{Made: 5, Answered: 4, Failed: 1}, methodIn(t, out.MethodsOut, "root", "buy").Calls)
	assert.Equal(t, "builtins.ValueError", methodIn(t, in.MethodsIn, "stall", "buy").LastFailure)
	assert.Equal(t, "builtins.ValueError", methodIn(t, out.MethodsOut, "root", "buy").LastFailure)
	assert.Equal(t, broker.Calls{Made: 1, Answered: 1}, methodIn(t, in.MethodsIn, "stall", "later").Calls)
	assert.Equal(t, broker.Calls{Made: 1, Failed: 1}, methodIn(t, in.MethodsIn, "stall", "channel").Calls)
	assert.Equal(t, broker.Calls{Made: 1, Failed: 1}, methodIn(t, in.MethodsIn, "stall", "panics").Calls)
	assert.Equal(t, "builtins.RuntimeError", methodIn(t, in.MethodsIn, "stall", "panics").LastFailure)
	assert.Equal(t, broker.Calls{Made: 100, Failed: 100}, methodIn(t, in.MethodsIn, "", broker.UnknownMethod).Calls)
	assert.Equal(t, broker.Calls{Made: 100, Failed: 100}, methodIn(t, out.MethodsOut, "", broker.UnknownMethod).Calls)
	assert.Equal(t, uint64(3), methodIn(t, in.MethodsIn, "stall", "lastPrice").Made, "one series for all spellings")
	assert.Len(t, in.MethodsIn, 6)
	assert.Empty(t, in.MethodsOut)
	buy := methodIn(t, in.MethodsIn, "stall", "buy")
	assert.Equal(t, uint64(5), buy.Latency.Count())
	assert.Positive(t, buy.Latency.Sum)
	assert.Equal(t, uint64(4), ptr(methodIn(t, out.MethodsOut, "root", "buy").Latency).Count(), "no answer, no time")

	require.Len(t, in.Failures, 64)
	last := in.Failures[63]
	assert.True(t, last.Incoming)
	assert.Equal(t, broker.UnknownMethod, last.Method)
	assert.Equal(t, "twisted.spread.flavors.NoSuchMethod", last.Exception)
	assert.NotEmpty(t, last.Peer)
	text, err := json.Marshal(in)
	require.NoError(t, err)
	assert.NotContains(t, string(text), "secret")
	assert.NotContains(t, string(text), "missing")
}

func ptr[T any](v T) *T { return &v }

func TestMethodStatsOfHandler(t *testing.T) {
	rt, _, root := pipeTo(t, &anyName{})
	for i := range 200 {
		_, err := flavors.Call[any](t.Context(), root, fmt.Sprintf("yes%d", i))
		require.NoError(t, err)
		_, err = flavors.Call[any](t.Context(), root, fmt.Sprintf("no%d", i))
		require.Error(t, err)
	}
	in := broker.StatsOf(rt).MethodsIn
	assert.Len(t, in, 64+2)
	assert.Equal(t, uint64(1), methodIn(t, in, "anyName", "yes63").Made)
	assert.Equal(t, uint64(200-64), methodIn(t, in, "anyName", broker.OtherMethod).Made)
	assert.Equal(t, uint64(200), methodIn(t, in, "", broker.UnknownMethod).Failed)
}

func TestMethodStatsPending(t *testing.T) {
	s := &stall{}
	rt, far, root := pipeTo(t, s)
	s.later = actor.Succeeded(1)
	_, err := flavors.Call[any](t.Context(), root, "later")
	require.NoError(t, err)
	s.later = actor.NewDeferred(rt)
	d := root.CallRemote("later")
	in := func() broker.MethodStats { return methodIn(t, broker.StatsOf(rt).MethodsIn, "stall", "later") }
	out := func() broker.MethodStats { return methodIn(t, broker.StatsOf(far).MethodsOut, "root", "later") }
	require.Eventually(t, func() bool { return in().Pending == 1 && out().Pending == 1 }, patience, tick)
	d.Cancel()
	given := broker.Calls{Made: 2, Answered: 1, Cancelled: 1}
	pbtest.Eventually(t, func() bool { return out().Calls == given })
	s.later.Complete(nil, errors.New("late"))
	failed := broker.Calls{Made: 2, Answered: 1, Failed: 1}
	pbtest.Eventually(t, func() bool { return in().Calls == failed })
}

func TestMethodStatsAfterLoss(t *testing.T) {
	s := &stall{}
	rt, far, root := pipeTo(t, s)
	s.later = actor.NewDeferred(rt)
	d := root.CallRemote("later")
	in := func() []broker.MethodStats { return broker.StatsOf(rt).MethodsIn }
	require.Eventually(t, func() bool { return len(in()) == 1 && in()[0].Pending == 1 }, patience, tick)
	root.Conn().(*broker.Conn).Abort(nil)
	_, err := result(t, d)
	require.ErrorIs(t, err, flavors.ConnectionLost)
	out := methodIn(t, broker.StatsOf(far).MethodsOut, "root", "later")
	assert.Equal(t, broker.Calls{Made: 1, Failed: 1}, out.Calls)
	assert.Equal(t, "twisted.spread.pb.PBConnectionLost", out.LastFailure)
	s.later.Complete(1, nil)
	require.Eventually(t, func() bool { return in()[0].Pending == 0 }, patience, tick)
}

func TestMethodLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, far := newRuntime(t), newRuntime(t)
		near, other := pbtest.NewPipeListener(), &stall{}
		_, err := broker.ListenOn(rt, near, other)
		require.NoError(t, err)
		conn, err := broker.NewClientConn(t.Context(), far, near.Dial())
		require.NoError(t, err)
		for range 10 {
			_, err = flavors.Call[any](t.Context(), conn.Root(), "sleep", int(3*time.Millisecond))
			require.NoError(t, err)
		}
		for _, m := range []broker.MethodStats{
			methodIn(t, broker.StatsOf(rt).MethodsIn, "stall", "sleep"),
			methodIn(t, broker.StatsOf(far).MethodsOut, "root", "sleep"),
		} {
			assert.Equal(t, 30*time.Millisecond, m.Latency.Sum)
			assert.Equal(t, 3*time.Millisecond, m.Latency.Mean())
			assert.Equal(t, uint64(10), m.Latency.Buckets[12])
			assert.Equal(t, 4096*time.Microsecond, broker.LatencyBounds()[12])
			median := m.Latency.Quantile(0.5)
			assert.Equal(t, 3072*time.Microsecond, median)
		}
		require.NoError(t, conn.Close(t.Context()))
		require.NoError(t, rt.Close(t.Context()))
		require.NoError(t, far.Close(t.Context()))
	})
}

func TestHistogramQuantile(t *testing.T) {
	var h broker.Histogram
	assert.Zero(t, h.Quantile(0.5))
	assert.Zero(t, h.Mean())
	h.Buckets[0], h.Buckets[25] = 3, 1
	assert.Equal(t, time.Microsecond, h.Quantile(0.75))
	assert.Equal(t, broker.LatencyBounds()[24], h.Quantile(1))
	assert.Equal(t, 500*time.Nanosecond, h.Quantile(0.375))
	assert.Zero(t, h.Quantile(-1))
	assert.Len(t, broker.LatencyBounds(), 25)
}

// All calls of a busy connection are counted, though not all are timed.
func TestMethodStatsOfMany(t *testing.T) {
	rt, far, root := pipeTo(t, &stall{})
	const callers, each = 64, 200
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range each {
				_, err := flavors.Call[int](t.Context(), root, "buy", 4)
				assert.NoError(t, err)
			}
		})
	}
	wg.Wait()
	for _, m := range []broker.MethodStats{
		methodIn(t, broker.StatsOf(rt).MethodsIn, "stall", "buy"),
		methodIn(t, broker.StatsOf(far).MethodsOut, "root", "buy"),
	} {
		assert.Equal(t, broker.Calls{Made: callers * each, Answered: callers * each}, m.Calls)
		assert.InDelta(t, callers*each, m.Latency.Count(), callers*each/2)
	}
}

func TestCallLog(t *testing.T) {
	logged := &journal{}
	logs, err := actor.NewRuntime(actor.WithLogger(zerolog.New(logged).Level(zerolog.DebugLevel)))
	require.NoError(t, err)
	defer func() { _ = logs.Close(t.Context()) }()
	ln, err := broker.Listen(logs, "pb://127.0.0.1:0", &stall{})
	require.NoError(t, err)
	conn, err := broker.Dial(t.Context(), logs, ln.URL())
	require.NoError(t, err)
	_, err = flavors.Call[any](t.Context(), conn.Root(), "buy", 12345)
	require.NoError(t, err)
	_, err = flavors.Call[any](t.Context(), conn.Root(), "buy", 0)
	require.Error(t, err)

	lines := map[string][]map[string]any{}
	for line := range strings.Lines(logged.text()) {
		var l map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &l))
		message, _ := l["message"].(string)
		lines[message] = append(lines[message], l)
	}
	for message, object := range map[string]string{
		"a call of the peer has ended": "stall", "a call to the peer has ended": "root",
	} {
		require.Len(t, lines[message], 2, message)
		first, second := lines[message][0], lines[message][1]
		assert.Equal(t, "debug", first["level"])
		assert.Equal(t, "buy", first["method"])
		assert.Equal(t, object, first["object"])
		assert.NotNil(t, first["duration"])
		assert.NotNil(t, first["peer"])
		assert.NotContains(t, first, "error")
		assert.Equal(t, "builtins.ValueError", second["error"])
	}
	assert.NotContains(t, logged.text(), "12345")
}

func TestPprofLabels(t *testing.T) {
	plain := &stall{} // It comes first: a label is there until its turn has ended, after the answer.
	_, _, root := pipeTo(t, plain)
	_, err := flavors.Call[any](t.Context(), root, "labels")
	require.NoError(t, err)
	assert.NotContains(t, plain.labels, "pb.method")

	s := &stall{}
	_, _, root = pipeTo(t, s, broker.WithPprofLabels())
	_, err = flavors.Call[any](t.Context(), root, "labels")
	require.NoError(t, err)
	assert.Contains(t, s.labels, `"pb.method":"stall.labels"`)
}

func TestUpdatesInMethodStats(t *testing.T) {
	served := &ponds{}
	rt, far := newRuntime(t), newRuntime(t)
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", served)
	require.NoError(t, err)
	conn, err := broker.Dial(t.Context(), far, ln.URL(), pondRegistry(t))
	require.NoError(t, err)
	copied, err := flavors.Call[*flavors.Cached[pondCopy]](t.Context(), conn.Root(), "get")
	require.NoError(t, err)
	_, err = flavors.CallInOrder[any](t.Context(), conn.Root(), "add", "daisy")
	require.NoError(t, err)
	out := methodIn(t, broker.StatsOf(rt).MethodsOut, "pond", "add")
	assert.Equal(t, broker.Calls{Made: 1, Answered: 1}, out.Calls)
	in := func() []broker.MethodStats { return broker.StatsOf(far).MethodsIn }
	require.Eventually(t, func() bool { return len(in()) == 1 && in()[0].Pending == 0 }, patience, tick)
	assert.Equal(t, broker.Calls{Made: 1, Answered: 1}, methodIn(t, in(), "pondCopy", "add").Calls)
	runtime.KeepAlive(copied)
}
