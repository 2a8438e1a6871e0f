package otel_test

import (
	"context"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/adapters/otel"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

type adder struct {
	flavors.Root
	sum int
}

// RemoteAdd adds a number.
func (a *adder) RemoteAdd(n int) int { a.sum += n; return a.sum }

// variants are what is put around a call. The interceptor is on both sides.
var variants = []struct {
	name        string
	interceptor func() flavors.Interceptor
}{
	{"none", func() flavors.Interceptor { return nil }},
	{"passing", func() flavors.Interceptor {
		return flavors.InterceptorFunc(func(next flavors.CallFunc) flavors.CallFunc {
			return func(ctx context.Context, call *flavors.CallInfo) (any, error) { return next(ctx, call) }
		})
	}},
	{"spans-1%", func() flavors.Interceptor {
		return otel.Interceptor(otel.WithTracerProvider(sampled(0.01)), otel.WithMeterProvider(noop.NewMeterProvider()))
	}},
	{"spans-1%-and-durations", func() flavors.Interceptor {
		return otel.Interceptor(otel.WithTracerProvider(sampled(0.01)), otel.WithMeterProvider(
			sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))))
	}},
	{"spans-1%-parent-based", func() flavors.Interceptor {
		return otel.Interceptor(otel.WithTracerProvider(sampled(0.01)), otel.WithParentBased(),
			otel.WithMeterProvider(noop.NewMeterProvider()))
	}},
	{"spans-1%-parent-based-and-durations", func() flavors.Interceptor {
		return otel.Interceptor(otel.WithTracerProvider(sampled(0.01)), otel.WithParentBased(), otel.WithMeterProvider(
			sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))))
	}},
	{"sampling-1%", func() flavors.Interceptor {
		return otel.Interceptor(otel.WithTracerProvider(sampled(1)), otel.WithSampling(0.01),
			otel.WithMeterProvider(noop.NewMeterProvider()))
	}},
	{"sampling-1%-and-durations", func() flavors.Interceptor {
		return otel.Interceptor(otel.WithTracerProvider(sampled(1)), otel.WithSampling(0.01), otel.WithMeterProvider(
			sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))))
	}},
	{"spans-all-and-durations", func() flavors.Interceptor {
		return otel.Interceptor(otel.WithTracerProvider(sampled(1)), otel.WithMeterProvider(
			sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))))
	}},
}

// sampled returns a provider that samples a part of the traces and drops the spans in batches.
func sampled(part float64) *sdktrace.TracerProvider {
	return sdktrace.NewTracerProvider(
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(part))),
		sdktrace.WithBatcher(tracetest.NewNoopExporter()))
}

// BenchmarkCall compares calls over loopback TCP. The variants take turns within one run, a thousand calls each, so
// that they see the same load of the machine. It reports the CPU time of a call, both sides, by variant.
func BenchmarkCall(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(map[int]string{1: "one-caller", 64: "many-callers"}[callers], func(b *testing.B) {
			roots := make([]*flavors.RemoteReference, len(variants))
			for i, v := range variants {
				roots[i] = connect(b, v.interceptor())
			}
			cpu := make([]time.Duration, len(variants))
			const round = 1000
			rounds := 0
			for b.Loop() {
				for i, root := range roots {
					before := cpuTime(b)
					callMany(b, root, callers, round)
					cpu[i] += cpuTime(b) - before
				}
				rounds++
			}
			for i, v := range variants {
				b.ReportMetric(float64(cpu[i])/float64(rounds*round), v.name+"-cpu-ns/call")
			}
		})
	}
}

func connect(b *testing.B, interceptor flavors.Interceptor) *flavors.RemoteReference {
	b.Helper()
	var with broker.Option
	if interceptor != nil {
		with = broker.WithInterceptor(interceptor)
	}
	newRuntime := func() *actor.Runtime {
		rt, err := actor.NewRuntime(actor.WithLogger(zerolog.Nop()))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = rt.Close(context.Background()) })
		return rt
	}
	ln, err := broker.Listen(newRuntime(), "pb://127.0.0.1:0", &adder{}, with)
	if err != nil {
		b.Fatal(err)
	}
	conn, err := broker.Dial(context.Background(), newRuntime(), ln.URL(), with)
	if err != nil {
		b.Fatal(err)
	}
	return conn.Root()
}

func callMany(b *testing.B, root *flavors.RemoteReference, callers, n int) {
	b.Helper()
	var left atomic.Int64
	left.Store(int64(n))
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				if _, err := flavors.Call[int](context.Background(), root, "add", 1); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

// cpuTime returns the CPU time of this process so far. On a busy machine it means more than elapsed time.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		b.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}
