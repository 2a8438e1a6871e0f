package otel_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/adapters/otel"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/supervision"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

func TestSessionSpans(t *testing.T) {
	l := newLab(t)
	server := pbtest.NewServer(t, newShop())
	refuse := make(chan bool, 1)
	session := otel.Session(func(ctx context.Context, conn *broker.Conn) (string, error) {
		if <-refuse {
			return "", errors.New("not yet")
		}
		return flavors.Call[string](ctx, conn.Root(), "hello", "x")
	}, otel.WithTracerProvider(l.traces))
	refuse <- false
	client, err := broker.Reconnect(server.Runtime, server.Listener.URL(), session, l.option(),
		broker.WithBackoff(supervision.Backoff{Min: time.Millisecond, Max: time.Millisecond}))
	require.NoError(t, err)
	conn, err := client.Conn(t.Context())
	require.NoError(t, err)
	conn.Abort(errors.New("the line was cut"))
	refuse <- true
	refuse <- false
	pbtest.Eventually(t, func() bool { return len(l.sessions()) == 3 })
	_, err = client.Session(t.Context())
	require.NoError(t, err)

	spans := l.sessions()
	first, second, third := spans[0], spans[1], spans[2]
	assert.Empty(t, first.Links())
	require.Len(t, second.Links(), 1)
	assert.Equal(t, first.SpanContext().SpanID(), second.Links()[0].SpanContext.SpanID())
	assert.Equal(t, "the line was cut", second.Links()[0].Attributes[0].Value.AsString())
	assert.Equal(t, codes.Error, second.Status().Code)
	assert.Equal(t, "builtins.Exception", attr(second, "error.type"))
	require.Len(t, third.Links(), 1)
	assert.Equal(t, second.SpanContext().SpanID(), third.Links()[0].SpanContext.SpanID())
	assert.Equal(t, "3", attr(third, "pb.session.number"))
	calls := 0
	for _, s := range l.spans.Ended() {
		if s.Name() == "root/hello" {
			calls++
			assert.Contains(t, []any{first.SpanContext().SpanID(), third.SpanContext().SpanID()}, any(s.Parent().SpanID()))
		}
	}
	assert.Equal(t, 2, calls)
	require.NoError(t, client.Close(t.Context()))
}

// sessions returns the spans of sessions, in the order in which they ended.
func (l *lab) sessions() (found []sdktrace.ReadOnlySpan) {
	for _, s := range l.spans.Ended() {
		if s.Name() == "pb.session" {
			found = append(found, s)
		}
	}
	return found
}

func TestSessionPanics(t *testing.T) {
	l := newLab(t)
	session := otel.Session(func(context.Context, *broker.Conn) (int, error) { panic("secret") },
		otel.WithTracerProvider(l.traces))
	assert.Panics(t, func() { _, _ = session(t.Context(), nil) })
	span := l.sessions()[0]
	assert.Equal(t, codes.Error, span.Status().Code)
	assertNoText(t, l, "secret")
	nothing := otel.Session[int](nil, otel.WithTracerProvider(l.traces))
	_, err := nothing(t.Context(), nil)
	require.NoError(t, err)
	assert.Equal(t, codes.Unset, l.sessions()[1].Status().Code)
}
