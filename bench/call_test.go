package bench

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/bench/internal/load"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
)

// callers is the number of concurrent callers in the pipelined benchmarks.
const callers = 256

// reflected publishes add as a method that is found by its name, the most common way.
type reflected struct{ flavors.Referenceable }

// RemoteAdd implements the remote method add.
func (*reflected) RemoteAdd(a, b int) int { return a + b }

// typed publishes add as a typed function, without reflection.
type typed struct{ flavors.Referenceable }

// PublishMethods implements flavors.Publisher.
func (*typed) PublishMethods(flavors.Prefix) flavors.MethodSet {
	return flavors.Methods(flavors.Method2("add", func(_ *typed, a, b int) (int, error) {
		return a + b, nil
	}))
}

// dial serves root on a loopback TCP port and connects to it. Each end has its own runtime.
func dial(b *testing.B, root any) *broker.Conn {
	b.Helper()
	return dialWith(b, root, nil)
}

// dialWith is dial with an option for both ends.
func dialWith(b *testing.B, root any, with broker.Option) *broker.Conn {
	b.Helper()
	server, client := newRuntime(b), newRuntime(b)
	ln, err := broker.Listen(server, "pb://127.0.0.1:0", root, with)
	if err != nil {
		b.Fatal(err)
	}
	conn, err := broker.Dial(context.Background(), client, ln.URL(), with)
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

// variants are the ways to publish a method.
var variants = []struct {
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

// BenchmarkCall measures one caller that makes one call after the other over TCP.
func BenchmarkCall(b *testing.B) {
	for _, v := range variants {
		b.Run(v.name, func(b *testing.B) {
			root := dial(b, v.root()).Root()
			ctx := context.Background()
			b.ReportAllocs()
			before := cpuTime(b)
			for b.Loop() {
				if err := v.call(ctx, root); err != nil {
					b.Fatal(err)
				}
			}
			reportCPU(b, before)
		})
	}
}

// BenchmarkCallPipelined measures many callers on one connection. The result is the time per call of all of them.
func BenchmarkCallPipelined(b *testing.B) {
	for _, v := range variants {
		b.Run(v.name, func(b *testing.B) {
			callMany(b, dial(b, v.root()).Root(), v.call)
		})
	}
}

// BenchmarkCallWide measures 64 connections to one object, with one caller each. There nothing can be batched.
func BenchmarkCallWide(b *testing.B) {
	const conns = 64
	server, client := newRuntime(b), newRuntime(b)
	ln, err := broker.Listen(server, "pb://127.0.0.1:0", &typed{})
	if err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	var roots []*flavors.RemoteReference
	for range conns {
		conn, err := broker.Dial(ctx, client, ln.URL())
		if err != nil {
			b.Fatal(err)
		}
		roots = append(roots, conn.Root())
	}
	b.ReportAllocs()
	b.ResetTimer()
	before := cpuTime(b)
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	for _, root := range roots {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if _, err := flavors.Call[int](ctx, root, "add", 1, 2); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	reportCPU(b, before)
}

// A struct both ways, by a method that is found by reflection.
func BenchmarkCallStructs(b *testing.B) {
	sent := load.Order{
		Customer: "Rosmerta", Number: 7, Price: 2.5, Items: map[string]int{"mead": 3, "gin": 1, "rum": 2, "ale": 9},
	}
	callMany(b, dial(b, &waiter{}).Root(), func(ctx context.Context, root *flavors.RemoteReference) error {
		_, err := flavors.Call[load.Order](ctx, root, "confirm", sent)
		return err
	})
}

type waiter struct{ flavors.Referenceable }

func (*waiter) RemoteConfirm(o load.Order) load.Order { return o.Confirmed() }

// callMany makes b.N calls from many goroutines.
func callMany(
	b *testing.B,
	root *flavors.RemoteReference,
	call func(ctx context.Context, ref *flavors.RemoteReference) error,
) {
	b.Helper()
	ctx := context.Background()
	b.ReportAllocs()
	b.ResetTimer()
	before := cpuTime(b)
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if err := call(ctx, root); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	reportCPU(b, before)
}

// cpuTime returns the CPU time of this process so far. On a busy machine it is more meaningful than elapsed time.
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

// passing is an interceptor that does nothing.
var passing = flavors.InterceptorFunc(func(next flavors.CallFunc) flavors.CallFunc {
	return func(ctx context.Context, call *flavors.CallInfo) (any, error) { return next(ctx, call) }
})

// BenchmarkInterceptors measures calls of many callers through interceptors that do nothing, on both sides.
func BenchmarkInterceptors(b *testing.B) {
	for _, n := range []int{0, 1, 2, 10} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			with := broker.WithInterceptor(slices.Repeat([]flavors.Interceptor{passing}, n)...)
			callMany(b, dialWith(b, &typed{}, with).Root(), variants[1].call)
		})
	}
}
