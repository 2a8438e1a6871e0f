package otel_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/adapters/otel"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// The parts of this file are those of docs/guide/tracing.md.

//guide:begin connect

// connectTraced listens and connects to itself, with spans for the calls on both sides.
func connectTraced(
	ctx context.Context, rt *actor.Runtime, root any, provider trace.TracerProvider,
) (*broker.Conn, error) {
	tracing := broker.WithInterceptor(otel.Interceptor(otel.WithTracerProvider(provider)))
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", root, tracing)
	if err != nil {
		return nil, err
	}
	return broker.Dial(ctx, rt, ln.URL(), tracing)
}

//guide:end

//guide:begin sampling

// sampledTracing samples one of a hundred traces that begin here. Those that began elsewhere go on as they are.
func sampledTracing(exporter sdktrace.SpanExporter) broker.Option {
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter))
	return broker.WithInterceptor(otel.Interceptor(otel.WithTracerProvider(provider), otel.WithSampling(0.01)))
}

//guide:end

//guide:begin observe

// observe reports the runtime's figures.
func observe(rt *actor.Runtime, provider metric.MeterProvider) error {
	return otel.Observe(rt, provider.Meter("shop"))
}

//guide:end

//guide:begin session

// stay keeps a client connected. The preparation of each session has a span.
func stay(rt *actor.Runtime, url string, tracing broker.Option) (*broker.ReconnectingClient[string], error) {
	return broker.Reconnect(rt, url, otel.Session(greet), tracing)
}

// greet prepares a session.
func greet(ctx context.Context, conn *broker.Conn) (string, error) {
	return flavors.Call[string](ctx, conn.Root(), "hello", "shop")
}

//guide:end

//guide:begin logs

// Till logs what it sells, with the ids of the trace.
type Till struct {
	flavors.Root
	slog *slog.Logger   // made with slog.New(otel.LogHandler(slog.NewJSONHandler(os.Stderr, nil)))
	log  zerolog.Logger // made with zerolog.New(os.Stderr).Hook(otel.LogHook())
}

// RemoteSell logs in both ways.
func (t *Till) RemoteSell(ctx context.Context, what string) {
	t.slog.InfoContext(ctx, "sold", "what", what)
	t.log.Info().Ctx(ctx).Str("what", what).Msg("sold")
}

//guide:end

// TestGuide runs the parts of the page.
func TestGuide(t *testing.T) {
	l := newLab(t)
	rt := pbtest.NewRuntime(t)
	var lines bytes.Buffer
	till := &Till{
		slog: slog.New(otel.LogHandler(slog.NewJSONHandler(&lines, nil))),
		log:  zerolog.New(&lines).Hook(otel.LogHook()),
	}
	conn, err := connectTraced(t.Context(), rt, till, l.traces)
	require.NoError(t, err)
	require.NoError(t, observe(rt, l.meters))
	_, err = flavors.Call[any](t.Context(), conn.Root(), "sell", "plums")
	require.NoError(t, err)
	spans := l.ended(2)
	server := spans["server Till/sell"].SpanContext()
	decoder := json.NewDecoder(&lines)
	for range 2 {
		var line map[string]string
		require.NoError(t, decoder.Decode(&line))
		assert.Equal(t, "plums", line["what"])
		assert.Equal(t, server.TraceID().String(), line["trace_id"])
		assert.Equal(t, server.SpanID().String(), line["span_id"])
	}
	assert.Contains(t, l.collect(), "pb.connections")
}

// TestGuideSession runs the part about sessions.
func TestGuideSession(t *testing.T) {
	l := newLab(t)
	server := pbtest.NewServer(t, newShop(), l.option())
	client, err := stay(pbtest.NewRuntime(t), server.Listener.URL(), l.option())
	require.NoError(t, err)
	greeting, err := client.Session(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "hello, shop", greeting)
}

// TestGuideSampling runs the part about sampling: the calls go through, with or without spans.
func TestGuideSampling(t *testing.T) {
	server := pbtest.NewServer(t, newShop(), sampledTracing(tracetest.NewNoopExporter()))
	conn := server.Dial(sampledTracing(tracetest.NewNoopExporter()))
	for range 3 {
		_, err := flavors.Call[string](t.Context(), conn.Root(), "hello", "x")
		require.NoError(t, err)
	}
}
