package otel_test

import (
	"context"
	"errors"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/adapters/otel"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// shop is what the tests call.
type shop struct {
	flavors.Root
	begun    chan struct{}         // gets a value when a method has begun to wait
	metadata chan flavors.Metadata // of calls of hello, if it is not nil
}

func newShop() *shop {
	return &shop{begun: make(chan struct{}, 8), metadata: make(chan flavors.Metadata, 8)}
}

func (s *shop) RemoteHello(inv *flavors.Invocation, name string) string {
	s.metadata <- inv.Metadata()
	return "hello, " + name
}

func (*shop) RemoteFail(text string) error { return flavors.ValueError.New(text) }

func (*shop) RemotePlain(text string) error { return errors.New(text) }

func (*shop) RemotePanic(text string) { panic(text) }

// RemoteWait returns when the call is over.
func (s *shop) RemoteWait(ctx context.Context) error {
	s.begun <- struct{}{}
	<-ctx.Done()
	return context.Cause(ctx)
}

// RemoteNever returns a result that never comes.
func (s *shop) RemoteNever(inv *flavors.Invocation) *actor.Deferred {
	s.begun <- struct{}{}
	return actor.NewDeferred(inv.Conn().Runtime())
}

// RemoteMeet calls a method of the caller's object.
func (*shop) RemoteMeet(ctx context.Context, guest *flavors.RemoteReference) *actor.Deferred {
	return flavors.Start(ctx, guest, "greet", "from the shop")
}

type guest struct{ flavors.Referenceable }

func (*guest) RemoteGreet(how string) string { return "greetings " + how }

// lab has what a test of spans and metrics needs.
type lab struct {
	t      *testing.T
	spans  *tracetest.SpanRecorder
	traces *sdktrace.TracerProvider
	reader *sdkmetric.ManualReader
	meters *sdkmetric.MeterProvider
}

func newLab(t *testing.T) *lab {
	l := &lab{t: t, spans: tracetest.NewSpanRecorder(), reader: sdkmetric.NewManualReader()}
	l.traces = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(l.spans))
	l.meters = sdkmetric.NewMeterProvider(sdkmetric.WithReader(l.reader))
	return l
}

func (l *lab) option(opts ...otel.Option) broker.Option {
	opts = append([]otel.Option{otel.WithTracerProvider(l.traces), otel.WithMeterProvider(l.meters)}, opts...)
	return broker.WithInterceptor(otel.Interceptor(opts...))
}

// serve connects to an object, with the interceptor on both sides.
func (l *lab) serve(root any, opts ...otel.Option) (*pbtest.Server, *broker.Conn) {
	with := l.option(opts...)
	server := pbtest.NewServer(l.t, root, with)
	return server, server.Dial(with)
}

// ended waits until a number of spans have ended, and returns them by kind and name.
func (l *lab) ended(n int) map[string]sdktrace.ReadOnlySpan {
	pbtest.Eventually(l.t, func() bool { return len(l.spans.Ended()) >= n })
	found := map[string]sdktrace.ReadOnlySpan{}
	for _, s := range l.spans.Ended() {
		name := s.SpanKind().String() + " " + s.Name()
		require.NotContains(l.t, found, name, "two spans have a name")
		found[name] = s
	}
	require.Len(l.t, found, n)
	return found
}

// attr returns the text of an attribute of a span, "" if there is none.
func attr(s sdktrace.ReadOnlySpan, key attribute.Key) string {
	set := attribute.NewSet(s.Attributes()...)
	v, _ := set.Value(key)
	return v.String()
}

func assertChild(t *testing.T, child, parent trace.SpanContext, childParent trace.SpanContext) {
	t.Helper()
	assert.Equal(t, parent.TraceID(), child.TraceID(), "another trace")
	assert.Equal(t, parent.SpanID(), childParent.SpanID(), "another parent")
}

// collect returns the metrics by name.
func (l *lab) collect() map[string]metricdata.Aggregation {
	var all metricdata.ResourceMetrics
	require.NoError(l.t, l.reader.Collect(context.Background(), &all))
	found := map[string]metricdata.Aggregation{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			found[m.Name] = m.Data
		}
	}
	return found
}
