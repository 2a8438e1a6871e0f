package otel_test

import (
	"testing"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/internal/stock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// TestStockPeer has calls with stock Twisted in both directions.
func TestStockPeer(t *testing.T) {
	stock.Require(t)
	l := newLab(t)
	shop := newShop()
	server := pbtest.NewServer(t, shop, l.option())
	peer := stock.Start(t, "testdata/peer.py", server.Listener.Addr().String()[len("127.0.0.1:"):])
	peer.WaitLine("answer hello, stock")
	peer.WaitLine("answer stock greetings from the shop")
	assert.Nil(t, <-shop.metadata)
	spans := l.ended(3)
	hello, meet, greet := spans["server shop/hello"], spans["server shop/meet"], spans["client greet"]
	for _, s := range []sdktrace.ReadOnlySpan{hello, meet} {
		assert.False(t, s.Parent().IsValid(), s.Name())
		assert.Equal(t, "pb", attr(s, "pb.dialect"))
	}
	assert.NotEqual(t, hello.SpanContext().TraceID(), meet.SpanContext().TraceID())
	assertChild(t, greet.SpanContext(), meet.SpanContext(), greet.Parent())

	l.spans.Reset()
	conn, err := broker.Dial(t.Context(), server.Runtime, "pb://"+peer.Addr(), l.option())
	require.NoError(t, err)
	ctx, parent := l.traces.Tracer("test").Start(t.Context(), "test")
	text, err := flavors.Call[string](ctx, conn.Root(), "echo", "x")
	require.NoError(t, err)
	assert.Equal(t, "x", text)
	_, err = flavors.Call[any](ctx, conn.Root(), "fail", "very secret")
	require.ErrorIs(t, err, flavors.ValueError)
	spans = l.ended(2)
	for _, s := range spans {
		assertChild(t, s.SpanContext(), parent.SpanContext(), s.Parent())
		assert.Equal(t, "pb", attr(s, "pb.dialect"))
	}
	assert.Equal(t, "builtins.ValueError", attr(spans["client root/fail"], "error.type"))
	assertNoText(t, l, "secret")
}
