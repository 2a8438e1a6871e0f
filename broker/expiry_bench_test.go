package broker_test

import (
	"context"
	"runtime"
	"slices"
	"sort"
	"syscall"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/stretchr/testify/require"
)

// benchWorkshop connects to a workshop whose worker it returns.
func benchWorkshop(b *testing.B, opts ...broker.Option) (*workshop, *flavors.RemoteReference) {
	b.Helper()
	rt, err := actor.NewRuntime()
	require.NoError(b, err)
	b.Cleanup(func() { _ = rt.Close(context.Background()) })
	w := newWorkshop()
	w.rt = rt
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", w, broker.WithOptions(opts...))
	require.NoError(b, err)
	conn, err := broker.Dial(b.Context(), rt, ln.URL())
	require.NoError(b, err)
	ref, err := flavors.Call[*flavors.RemoteReference](b.Context(), conn.Root(), "worker")
	require.NoError(b, err)
	return w, ref
}

// BenchmarkDialect compares the same call under each dialect, and with what pb+1 adds to it.
func BenchmarkDialect(b *testing.B) {
	timed, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	described := flavors.WithMetadata(context.Background(), flavors.Metadata{"traceparent": "00-1-2-01"})
	for _, run := range []struct {
		name    string
		dialect banana.Profile
		ctx     context.Context
	}{
		{"pb", banana.ProfilePB, context.Background()},
		{"pb+1", banana.ProfilePB1, context.Background()},
		{"pb+1, deadline", banana.ProfilePB1, timed},
		{"pb+1, metadata", banana.ProfilePB1, described},
	} {
		b.Run(run.name, func(b *testing.B) {
			_, ref := benchWorkshop(b, broker.WithDialects(run.dialect))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := flavors.Call[int](run.ctx, ref, "plain", 7); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDeadlines compares many callers on one connection without and with a deadline for each call. It reports the
// CPU time of a call, both sides.
func BenchmarkDeadlines(b *testing.B) {
	const callers = 64
	for _, limit := range []time.Duration{0, time.Minute} {
		b.Run(map[bool]string{false: "none", true: "deadline"}[limit > 0], func(b *testing.B) {
			_, ref := benchWorkshop(b)
			timed, cancel := context.WithTimeout(b.Context(), limit+time.Hour)
			defer cancel()
			ctx := timed // Both wait for its end, so that only the deadline is compared.
			if limit == 0 {
				ctx, cancel = context.WithCancel(b.Context())
				defer cancel()
			}
			b.SetParallelism(callers / runtime.GOMAXPROCS(0))
			b.ReportAllocs()
			before := cpuTime(b)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := flavors.Call[int](ctx, ref, "plain", 7); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

// cpuTime returns the CPU time of this process so far.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkCancelReachesMethod measures the time from the end of a caller's context to the end of the method's. It
// should be less than ten milliseconds.
func BenchmarkCancelReachesMethod(b *testing.B) {
	const enough = 10 * time.Millisecond
	w, ref := benchWorkshop(b)
	var took []time.Duration
	for b.Loop() {
		ctx, cancel := context.WithCancel(b.Context())
		answered := make(chan struct{})
		go func() {
			_, _ = flavors.Call[any](ctx, ref, "wait")
			close(answered)
		}()
		<-w.began
		cancelled := time.Now()
		cancel()
		<-w.ended
		took = append(took, time.Since(cancelled))
		<-answered
	}
	slices.Sort(took)
	late := len(took) - sort.Search(len(took), func(i int) bool { return took[i] > enough })
	at := func(share float64) float64 {
		return float64(took[int(share*float64(len(took)-1))].Nanoseconds()) / 1000
	}
	b.ReportMetric(at(0.5), "p50-µs")
	b.ReportMetric(at(0.99), "p99-µs")
	b.ReportMetric(at(1), "max-µs")
	b.ReportMetric(float64(late), "over-10ms")
}
