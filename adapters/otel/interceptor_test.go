package otel_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/adapters/otel"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

func TestSpansOfCall(t *testing.T) {
	l := newLab(t)
	_, conn := l.serve(newShop())
	ctx, parent := l.traces.Tracer("test").Start(t.Context(), "test")
	_, err := flavors.Call[string](ctx, conn.Root(), "hello", "very secret")
	require.NoError(t, err)

	spans := l.ended(2)
	client, server := spans["client root/hello"], spans["server shop/hello"]
	require.NotNil(t, client)
	require.NotNil(t, server)
	assertChild(t, client.SpanContext(), parent.SpanContext(), client.Parent())
	assertChild(t, server.SpanContext(), client.SpanContext(), server.Parent())
	assert.True(t, server.Parent().IsRemote())

	host, port, err := net.SplitHostPort(conn.RemoteAddr().String())
	require.NoError(t, err)
	for key, want := range map[attribute.Key]string{
		"rpc.system.name": "perspectivebroker", "rpc.system": "perspectivebroker",
		"rpc.service": "root", "rpc.method": "hello", "pb.dialect": "pb+1", "pb.answer": "",
		"network.transport": "tcp", "network.peer.address": host, "network.peer.port": port,
		"server.address": host, "server.port": port, "error.type": "",
	} {
		assert.Equal(t, want, attr(client, key), key)
	}
	assert.Equal(t, "shop", attr(server, "rpc.service"))
	assert.Equal(t, "127.0.0.1", attr(server, "network.peer.address"))
	assert.Empty(t, attr(server, "server.address"))
	for _, s := range spans {
		assert.Equal(t, codes.Unset, s.Status().Code)
		assert.Equal(t, otel.ScopeName, s.InstrumentationScope().Name)
	}
	assertNoText(t, l, "secret")
}

// assertNoText requires that no span holds a text.
func assertNoText(t *testing.T, l *lab, text string) {
	t.Helper()
	for _, s := range tracetest.SpanStubsFromReadOnlySpans(l.spans.Ended()) {
		assert.NotContains(t, fmt.Sprintf("%+v", s), text)
	}
}

func TestFailedCalls(t *testing.T) {
	for _, c := range []struct{ method, wantType, description string }{
		{"fail", "builtins.ValueError", "builtins.ValueError"},
		{"plain", "builtins.Exception", "builtins.Exception"},
		{"panic", "builtins.RuntimeError", "panic"},
	} {
		t.Run(c.method, func(t *testing.T) {
			l := newLab(t)
			_, conn := l.serve(newShop())
			_, err := flavors.Call[any](t.Context(), conn.Root(), c.method, "very secret")
			require.Error(t, err)
			spans := l.ended(2)
			client, server := spans["client root/"+c.method], spans["server shop/"+c.method]
			assert.Equal(t, c.wantType, attr(client, "error.type"))
			assert.Equal(t, c.wantType, attr(server, "error.type"))
			assert.Equal(t, sdktrace.Status{Code: codes.Error, Description: c.wantType}, client.Status())
			assert.Equal(t, sdktrace.Status{Code: codes.Error, Description: c.description}, server.Status())
			assertNoText(t, l, "secret")
		})
	}
}

func TestUnknownMethod(t *testing.T) {
	l := newLab(t)
	_, conn := l.serve(newShop())
	for range 3 {
		_, err := flavors.Call[any](t.Context(), conn.Root(), "steal", 1)
		require.ErrorIs(t, err, flavors.NoSuchMethod)
	}
	pbtest.Eventually(t, func() bool { return len(l.spans.Ended()) == 6 })
	for _, s := range l.spans.Ended() {
		assert.Contains(t, []string{"root/_OTHER", "shop/_OTHER"}, s.Name())
		assert.Equal(t, "_OTHER", attr(s, "rpc.method"))
		assert.Equal(t, "steal", attr(s, "rpc.method_original"))
		assert.Equal(t, "twisted.spread.flavors.NoSuchMethod", attr(s, "error.type"))
	}
}

func TestCancelledCall(t *testing.T) {
	for _, method := range []string{"wait", "never"} {
		t.Run(method, func(t *testing.T) {
			l := newLab(t)
			shop := newShop()
			_, conn := l.serve(shop)
			ctx, cancel := context.WithCancel(t.Context())
			go func() { <-shop.begun; cancel() }()
			_, err := flavors.Call[any](ctx, conn.Root(), method)
			require.ErrorIs(t, err, context.Canceled)
			for _, s := range l.ended(2) {
				assert.Equal(t, "perspectivebroker.Canceled", attr(s, "error.type"), s.Name())
				assert.Equal(t, codes.Error, s.Status().Code)
			}
		})
	}
}

func TestCallOverTime(t *testing.T) {
	for _, method := range []string{"wait", "never"} {
		t.Run(method, func(t *testing.T) {
			l := newLab(t)
			shop := newShop()
			_, conn := l.serve(shop)
			// A call whose time is over before its object gets to it has no server span: allow more time then.
			for allowed := 50 * time.Millisecond; !l.hasServerSpan(); allowed *= 2 {
				ctx, cancel := context.WithTimeout(t.Context(), allowed)
				_, err := flavors.Call[any](ctx, conn.Root(), method)
				cancel()
				require.Error(t, err)
			}
			for _, s := range l.spans.Ended() {
				kinds := []string{"perspectivebroker.DeadlineExceeded"}
				if s.SpanKind() == trace.SpanKindServer {
					kinds = append(kinds, "perspectivebroker.Canceled") // The caller's clock was first.
				}
				assert.Contains(t, kinds, attr(s, "error.type"), s.Name())
			}
		})
	}
}

func (l *lab) hasServerSpan() bool {
	return slices.ContainsFunc(l.spans.Ended(), func(s sdktrace.ReadOnlySpan) bool {
		return s.SpanKind() == trace.SpanKindServer
	})
}

func TestLostCall(t *testing.T) {
	l := newLab(t)
	shop := newShop()
	server, conn := l.serve(shop)
	d := conn.Root().CallRemote("never")
	<-shop.begun
	for _, c := range server.Listener.Conns() {
		c.Abort(nil)
	}
	require.Error(t, pbtest.ErrorOf(d))
	for _, s := range l.ended(2) {
		assert.Equal(t, "twisted.spread.pb.PBConnectionLost", attr(s, "error.type"), s.Name())
	}
}

func TestOneWayCall(t *testing.T) {
	l := newLab(t)
	_, conn := l.serve(newShop())
	require.NoError(t, flavors.Send(t.Context(), conn.Root(), "hello", "x"))
	spans := l.ended(2)
	client, server := spans["client root/hello"], spans["server shop/hello"]
	assertChild(t, server.SpanContext(), client.SpanContext(), server.Parent())
	assert.Equal(t, "false", attr(client, "pb.answer"))
	assert.Equal(t, "false", attr(server, "pb.answer"))
}

func TestCallback(t *testing.T) {
	l := newLab(t)
	_, conn := l.serve(newShop())
	text, err := flavors.Call[string](t.Context(), conn.Root(), "meet", &guest{})
	require.NoError(t, err)
	assert.Equal(t, "greetings from the shop", text)
	spans := l.ended(4)
	chain := []string{"client root/meet", "server shop/meet", "client greet", "server guest/greet"}
	for i, name := range chain[1:] {
		require.NotNil(t, spans[name], name)
		assertChild(t, spans[name].SpanContext(), spans[chain[i]].SpanContext(), spans[name].Parent())
	}
	assert.Empty(t, attr(spans["client greet"], "rpc.service"))
}

func TestPlainDialect(t *testing.T) {
	l := newLab(t)
	shop := newShop()
	server := pbtest.NewServer(t, shop, l.option())
	conn := server.Dial(l.option(), broker.WithDialects(banana.ProfilePB))
	_, err := flavors.Call[string](t.Context(), conn.Root(), "hello", "x")
	require.NoError(t, err)
	assert.Empty(t, <-shop.metadata)
	spans := l.ended(2)
	assert.False(t, spans["server shop/hello"].Parent().IsValid())
	assert.Equal(t, "pb", attr(spans["client root/hello"], "pb.dialect"))
}

func TestMetadataKept(t *testing.T) {
	l := newLab(t)
	shop := newShop()
	_, conn := l.serve(shop)
	state, err := trace.ParseTraceState("vendor=value")
	require.NoError(t, err)
	ctx := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled, TraceState: state,
	}))
	ctx = flavors.WithMetadata(ctx, flavors.Metadata{"tenant": "acme"})
	_, err = flavors.Call[string](ctx, conn.Root(), "hello", "x")
	require.NoError(t, err)
	got := <-shop.metadata
	assert.Equal(t, "acme", got["tenant"])
	assert.Equal(t, "vendor=value", got["tracestate"])
	client := l.ended(2)["client root/hello"].SpanContext()
	assert.Equal(t, "00-"+client.TraceID().String()+"-"+client.SpanID().String()+"-01", got["traceparent"])
	assert.Equal(t, trace.TraceID{1}, client.TraceID())
}

// What a propagator adds must not fail a call.
func TestMetadataLimit(t *testing.T) {
	l := newLab(t)
	shop := newShop()
	_, conn := l.serve(shop, otel.WithPropagator(
		propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})))
	member, err := baggage.NewMember("load", strings.Repeat("x", 5000))
	require.NoError(t, err)
	bag, err := baggage.New(member)
	require.NoError(t, err)
	ctx := baggage.ContextWithBaggage(t.Context(), bag)
	for _, c := range []struct {
		name    string
		others  flavors.Metadata
		baggage bool
		parent  bool
	}{
		{"room for all", nil, true, true},
		{"no room for baggage", flavors.Metadata{"own": strings.Repeat("y", 3500)}, false, true},
		{"no room at all", flavors.Metadata{"own": []byte(strings.Repeat("y", flavors.MaxMetadataBytes-100))}, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := flavors.Call[string](flavors.WithMetadata(ctx, c.others), conn.Root(), "hello", "x")
			require.NoError(t, err)
			got := <-shop.metadata
			assert.Equal(t, c.baggage, got["baggage"] != nil)
			assert.Equal(t, c.parent, got["traceparent"] != nil)
		})
	}
	many := flavors.Metadata{}
	for i := range flavors.MaxMetadataEntries - 1 {
		many[fmt.Sprint("key", i)] = ""
	}
	_, err = flavors.Call[string](flavors.WithMetadata(ctx, many), conn.Root(), "hello", "x")
	require.NoError(t, err)
	got := <-shop.metadata
	assert.Len(t, got, len(many))
}

// A peer may send anything as a trace context.
func TestMalformedTraceContext(t *testing.T) {
	l := newLab(t)
	shop := newShop()
	server := pbtest.NewServer(t, shop, l.option())
	conn := server.Dial()
	for _, m := range []flavors.Metadata{
		{"traceparent": ""}, {"traceparent": "00-1-2-3"}, {"traceparent": []byte{0xff, 0}},
		{"traceparent": strings.Repeat("0", 7000)}, {"tracestate": "=,=,="},
	} {
		_, err := flavors.Call[string](flavors.WithMetadata(t.Context(), m), conn.Root(), "hello", "x")
		require.NoError(t, err)
	}
	pbtest.Eventually(t, func() bool { return len(l.spans.Ended()) == 5 })
	for _, s := range l.spans.Ended() {
		assert.False(t, s.Parent().IsValid())
	}
}

func TestPublicEndpoint(t *testing.T) {
	l := newLab(t)
	_, conn := l.serve(newShop(), otel.WithPublicEndpoint())
	_, err := flavors.Call[string](t.Context(), conn.Root(), "hello", "x")
	require.NoError(t, err)
	spans := l.ended(2)
	client, server := spans["client root/hello"], spans["server shop/hello"]
	assert.NotEqual(t, client.SpanContext().TraceID(), server.SpanContext().TraceID())
	assert.False(t, server.Parent().IsValid())
	require.Len(t, server.Links(), 1)
	assert.Equal(t, client.SpanContext().SpanID(), server.Links()[0].SpanContext.SpanID())
}

// A trace that its root has not sampled stays unsampled.
func TestUnsampledTrace(t *testing.T) {
	l := newLab(t)
	shop := newShop()
	never := sdktrace.NewTracerProvider(
		sdktrace.WithSampler(sdktrace.NeverSample()), sdktrace.WithSpanProcessor(l.spans))
	server := pbtest.NewServer(t, shop, l.option())
	conn := server.Dial(l.option(otel.WithTracerProvider(never)))
	_, err := flavors.Call[string](t.Context(), conn.Root(), "hello", "x")
	require.NoError(t, err)
	got, _ := (<-shop.metadata)["traceparent"].(string)
	assert.Regexp(t, "^00-[0-9a-f]{32}-[0-9a-f]{16}-00$", got)
	assert.Empty(t, l.spans.Started())
	data, ok := l.collect()["rpc.server.call.duration"].(metricdata.Histogram[float64])
	require.True(t, ok, "durations are recorded all the same")
	assert.EqualValues(t, 1, data.DataPoints[0].Count)
}

// A call of a trace that is not sampled passes the trace context on, with its span, and makes no span of its own.
func TestParentBased(t *testing.T) {
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
	for name, option := range map[string]otel.Option{
		"parent based": otel.WithParentBased(), "sampling": otel.WithSampling(1),
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			shop := newShop()
			server := pbtest.NewServer(t, shop, l.option(option))
			plain := server.Dial()
			ctx := flavors.WithMetadataText(t.Context(), "traceparent", parent)
			guest := &relay{}
			_, err := flavors.Call[string](ctx, plain.Root(), "meet", guest)
			require.NoError(t, err)
			assert.Equal(t, parent, guest.got["traceparent"])
			assert.Empty(t, l.spans.Started())
		})
	}
}

// relay notes what the call to it carried.
type relay struct {
	flavors.Referenceable
	got flavors.Metadata
}

func (r *relay) RemoteGreet(inv *flavors.Invocation, how string) string {
	r.got = inv.Metadata()
	return how
}

// spanOf returns what a method can learn about the span in its context.
type spanOf struct {
	flavors.Root
	seen chan trace.Span
}

func (s *spanOf) RemoteLook(ctx context.Context) { s.seen <- trace.SpanFromContext(ctx) }

// A method whose call is not sampled has the caller's span context, and its spans are children of it.
func TestUnsampledSpan(t *testing.T) {
	for _, tt := range []struct{ name, parent, state, flags string }{
		{"plain", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", "", "00"},
		{"random", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-02", "", "02"},
		{"state", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", "a=b", "00"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t)
			object := &spanOf{seen: make(chan trace.Span, 1)}
			server := pbtest.NewServer(t, object, l.option(otel.WithParentBased()))
			ctx := flavors.WithMetadataText(t.Context(), "traceparent", tt.parent)
			if tt.state != "" {
				ctx = flavors.WithMetadataText(ctx, "tracestate", tt.state)
			}
			_, err := flavors.Call[any](ctx, server.Dial().Root(), "look")
			require.NoError(t, err)
			span := <-object.seen
			sc := span.SpanContext()
			assert.Equal(t, "0af7651916cd43dd8448eb211c80319c", sc.TraceID().String())
			assert.Equal(t, "b7ad6b7169203331", sc.SpanID().String())
			assert.Equal(t, tt.flags, sc.TraceFlags().String())
			assert.Equal(t, tt.state, sc.TraceState().String())
			assert.True(t, sc.IsRemote())
			assert.False(t, span.IsRecording())
			span.SetName("ignored")
			span.SetAttributes(attribute.Bool("ignored", true))
			span.SetStatus(codes.Error, "ignored")
			span.AddEvent("ignored")
			span.AddLink(trace.Link{})
			span.RecordError(errors.New("ignored"))
			span.End()
			_, child := l.traces.Tracer("method").Start(trace.ContextWithSpan(t.Context(), span), "child")
			assert.Equal(t, sc.TraceID(), child.SpanContext().TraceID())
			assert.False(t, child.IsRecording())
			assert.Empty(t, l.spans.Started())
		})
	}
}

// Malformed trace contexts are not taken for ones that are not sampled: the call begins a trace.
func TestMalformedUnsampled(t *testing.T) {
	for _, parent := range []string{
		"00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
		"00-00000000000000000000000000000000-b7ad6b7169203331-00",
		"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-00",
		"00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-00",
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-04",
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
		"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
	} {
		l := newLab(t)
		server := pbtest.NewServer(t, newShop(), l.option(otel.WithParentBased()))
		ctx := flavors.WithMetadataText(t.Context(), "traceparent", parent)
		_, err := flavors.Call[string](ctx, server.Dial().Root(), "hello", "x")
		require.NoError(t, err)
		assert.Contains(t, l.ended(1), "server shop/hello", parent)
	}
}

// WithSampling decides about traces that begin here. What it leaves out has a trace context that is not sampled.
func TestSampling(t *testing.T) {
	l := newLab(t)
	shop := newShop()
	server := pbtest.NewServer(t, shop, l.option())
	conn := server.Dial(l.option(otel.WithSampling(0)))
	_, err := flavors.Call[string](t.Context(), conn.Root(), "hello", "x")
	require.NoError(t, err)
	got, _ := (<-shop.metadata)["traceparent"].(string)
	assert.Regexp(t, "^00-[0-9a-f]{32}-[0-9a-f]{16}-00$", got)
	assert.Empty(t, l.spans.Started())
	data, ok := l.collect()["rpc.client.call.duration"].(metricdata.Histogram[float64])
	require.True(t, ok, "durations are recorded all the same")
	assert.EqualValues(t, 1, data.DataPoints[0].Count)

	// A span of the program decides for the calls in it.
	ctx, span := l.traces.Tracer("test").Start(t.Context(), "work")
	_, err = flavors.Call[string](ctx, conn.Root(), "hello", "x")
	require.NoError(t, err)
	span.End()
	assert.Contains(t, l.ended(3), "client root/hello")
}

// WithSampling takes the part that it is given, and each call has a trace of its own.
func TestSamplingPart(t *testing.T) {
	const calls = 2000
	l := newLab(t)
	shop := newShop()
	server := pbtest.NewServer(t, shop)
	conn := server.Dial(l.option(otel.WithSampling(0.5)))
	traces := map[string]bool{}
	for range calls {
		_, err := flavors.Call[string](t.Context(), conn.Root(), "hello", "x")
		require.NoError(t, err)
		parent, _ := (<-shop.metadata)["traceparent"].(string)
		traces[parent] = true
	}
	assert.Len(t, traces, calls)
	assert.InDelta(t, calls/2, len(l.spans.Ended()), calls/8, "it is off by more than ten standard deviations")
}

func TestDurations(t *testing.T) {
	l := newLab(t)
	_, conn := l.serve(newShop())
	for range 3 {
		_, err := flavors.Call[string](t.Context(), conn.Root(), "hello", "x")
		require.NoError(t, err)
	}
	_, err := flavors.Call[any](t.Context(), conn.Root(), "fail", "x")
	require.Error(t, err)
	l.traces.ForceFlush(t.Context())
	pbtest.Eventually(t, func() bool { return len(l.spans.Ended()) == 8 })
	for name, service := range map[string]string{
		"rpc.client.call.duration": "root", "rpc.server.call.duration": "shop",
	} {
		data, ok := l.collect()[name].(metricdata.Histogram[float64])
		require.True(t, ok, name)
		counts := map[string]uint64{}
		for _, p := range data.DataPoints {
			assert.Positive(t, p.Sum)
			text := ""
			for _, kv := range p.Attributes.ToSlice() {
				text += string(kv.Key) + "=" + kv.Value.String() + " "
			}
			counts[text] = p.Count
		}
		assert.Equal(t, map[string]uint64{
			"rpc.method=hello rpc.service=" + service + " rpc.system.name=perspectivebroker ": 3,
			"error.type=builtins.ValueError rpc.method=fail rpc.service=" + service +
				" rpc.system.name=perspectivebroker ": 1,
		}, counts)
	}
}

// anything takes all methods.
type anything struct{ flavors.Referenceable }

// HandleRemote implements flavors.Handler.
func (*anything) HandleRemote(*flavors.Invocation) (any, error) { return "fine", nil }

// Peers that make up names do not fill the memory.
func TestManyNames(t *testing.T) {
	l := newLab(t)
	_, conn := l.serve(&anything{})
	for i := range 300 {
		_, err := flavors.Call[string](t.Context(), conn.Root(), fmt.Sprint("method", i, strings.Repeat("é", 99)))
		require.NoError(t, err)
	}
	pbtest.Eventually(t, func() bool { return len(l.spans.Ended()) == 600 })
	data, ok := l.collect()["rpc.server.call.duration"].(metricdata.Histogram[float64])
	require.True(t, ok)
	assert.Len(t, data.DataPoints, 257)
	for _, p := range data.DataPoints {
		name, _ := p.Attributes.Value("rpc.method")
		assert.LessOrEqual(t, len(name.AsString()), 83)
		if name.AsString() == "_OTHER" {
			assert.EqualValues(t, 44, p.Count)
		}
	}
}
