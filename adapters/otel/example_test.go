package otel_test

import (
	"context"
	"fmt"
	"log"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/adapters/otel"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// Clock is an object for the examples.
type Clock struct{ flavors.Root }

// RemoteTime returns the time.
func (*Clock) RemoteTime() string { return "half past nine" }

func ExampleInterceptor() {
	ctx := context.Background()
	rt, err := actor.NewRuntime()
	if err != nil {
		log.Fatal(err)
	}
	exported := tracetest.NewInMemoryExporter() // use one that sends spans to your collector
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exported))

	tracing := broker.WithInterceptor(otel.Interceptor(otel.WithTracerProvider(provider)))
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", &Clock{}, tracing)
	if err != nil {
		log.Fatal(err)
	}
	conn, err := broker.Dial(ctx, rt, ln.URL(), tracing)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(flavors.Call[string](ctx, conn.Root(), "time"))
	if err := rt.Close(ctx); err != nil {
		log.Fatal(err)
	}

	spans := exported.GetSpans()
	for _, s := range spans {
		fmt.Println(s.SpanKind, s.Name, "in the same trace:", s.SpanContext.TraceID() == spans[0].SpanContext.TraceID())
	}
	// Output:
	// half past nine <nil>
	// server Clock/time in the same trace: true
	// client root/time in the same trace: true
}

func ExampleObserve() {
	rt, err := actor.NewRuntime()
	if err != nil {
		log.Fatal(err)
	}
	defer rt.Close(context.Background())
	reader := sdkmetric.NewManualReader() // use one that exports to your collector
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	fmt.Println(otel.Observe(rt, provider.Meter("example")))
	// Output: <nil>
}

// A call of a trace that is not sampled passes the trace context on and makes no span.
func ExampleWithParentBased() {
	exported := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exported)) // its sampler is ParentBased
	ctx := flavors.WithMetadataText(context.Background(),                 // as a caller's interceptor does
		"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")
	call(ctx, otel.Interceptor(otel.WithTracerProvider(provider), otel.WithParentBased()))
	fmt.Println(len(exported.GetSpans()), "spans")
	// Output:
	// half past nine <nil>
	// 0 spans
}

// One of a hundred traces that begin with a call is sampled; here none.
func ExampleWithSampling() {
	exported := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exported))
	call(context.Background(), otel.Interceptor(otel.WithTracerProvider(provider), otel.WithSampling(0)))
	fmt.Println(len(exported.GetSpans()), "spans")
	// Output:
	// half past nine <nil>
	// 0 spans
}

// call asks a clock with an interceptor for the time.
func call(ctx context.Context, interceptor flavors.Interceptor) {
	rt, err := actor.NewRuntime()
	if err != nil {
		log.Fatal(err)
	}
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", &Clock{}, broker.WithInterceptor(interceptor))
	if err != nil {
		log.Fatal(err)
	}
	conn, err := broker.Dial(ctx, rt, ln.URL())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(flavors.Call[string](ctx, conn.Root(), "time"))
	if err := rt.Close(context.Background()); err != nil {
		log.Fatal(err)
	}
}
