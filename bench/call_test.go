package bench

import (
	"context"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
)

// callers is how many calls are under way at a time in the pipelined benchmarks.
const callers = 256

// reflected publishes add the way most people will: a method found by its name.
type reflected struct{ flavors.Referenceable }

// RemoteAdd is add on the wire.
func (*reflected) RemoteAdd(a, b int) int { return a + b }

// typed publishes add as a function whose types are known at compile time.
type typed struct{ flavors.Referenceable }

// PublishMethods implements flavors.Publisher.
func (*typed) PublishMethods(flavors.Prefix) flavors.MethodSet {
	return flavors.Methods(flavors.Method2("add", func(_ *typed, a, b int) (int, error) {
		return a + b, nil
	}))
}

// dial serves root over TCP on loopback and connects to it, each end with a runtime of its own.
func dial(b *testing.B, root any) *broker.Conn {
	b.Helper()
	server, client := newRuntime(b), newRuntime(b)
	ln, err := broker.Listen(server, "pb://127.0.0.1:0", root)
	if err != nil {
		b.Fatal(err)
	}
	conn, err := broker.Dial(context.Background(), client, ln.URL())
	if err != nil {
		b.Fatal(err)
	}
	return conn
}

func newRuntime(b *testing.B) *actor.Runtime {
	b.Helper()
	rt, err := actor.NewRuntime()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := rt.Close(ctx); err != nil {
			b.Error(err)
		}
	})
	return rt
}

// ways are the two ways of writing a call: as most people will, and without reflection.
var ways = []struct {
	name string
	root func() any
	call func(ctx context.Context, ref *flavors.RemoteReference) error
}{
	{"reflected", func() any { return &reflected{} }, func(ctx context.Context, ref *flavors.RemoteReference) error {
		_, err := flavors.Call[int](ctx, ref, "add", 1, 2)
		return err
	}},
	{"typed", func() any { return &typed{} }, func(ctx context.Context, ref *flavors.RemoteReference) error {
		_, err := flavors.Call[int](ctx, ref, "add", 1, 2)
		return err
	}},
}

// BenchmarkCall is one whole call after the other, over TCP.
func BenchmarkCall(b *testing.B) {
	for _, way := range ways {
		b.Run(way.name, func(b *testing.B) {
			root := dial(b, way.root()).Root()
			ctx := context.Background()
			b.ReportAllocs()
			before := cpuTime(b)
			for b.Loop() {
				if err := way.call(ctx, root); err != nil {
					b.Fatal(err)
				}
			}
			reportCPU(b, before)
		})
	}
}

// BenchmarkCallPipelined is many callers on one connection; the time is that of one call among them.
func BenchmarkCallPipelined(b *testing.B) {
	for _, way := range ways {
		b.Run(way.name, func(b *testing.B) {
			root := dial(b, way.root()).Root()
			ctx := context.Background()
			b.ReportAllocs()
			b.ResetTimer()
			before := cpuTime(b)
			var left atomic.Int64
			left.Store(int64(b.N))
			var all sync.WaitGroup
			for range callers {
				all.Go(func() {
					for left.Add(-1) >= 0 {
						if err := way.call(ctx, root); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			reportCPU(b, before)
		})
	}
}

// cpuTime is what this process has used of the processors so far: on a machine that does other work as well it says more than
// the time that has passed.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func reportCPU(b *testing.B, before time.Duration) {
	b.Helper()
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
}
