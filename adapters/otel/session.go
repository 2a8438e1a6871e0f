package otel

import (
	"context"
	"sync"

	"github.com/perspectivebroker/pb/broker"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// Session returns a session function for [broker.Reconnect] that calls prepare within a span, "pb.session". The calls
// that prepare makes with its ctx, such as a login, are children of it. prepare may be nil.
//
// The span covers the preparation, not the life of the session: a span is exported when it ends, and sessions last for
// days. From the second session on it has a link to the span of the session before, with the reason why that one ended
// as pb.session.lost. So the sessions of a client form a chain, and each link names the cause. An attempt that does not
// get as far as a connection has no span; the log tells of it.
//
// Use the result for one client only.
func Session[S any](
	prepare func(ctx context.Context, conn *broker.Conn) (S, error),
	opts ...Option,
) func(ctx context.Context, conn *broker.Conn) (S, error) {
	sessions := &sessions{tracer: newOptions(opts).tracer()}
	return func(ctx context.Context, conn *broker.Conn) (s S, err error) {
		ctx, span := sessions.begin(ctx, conn)
		err = errPanicked
		defer func() { endSession(span, err) }()
		if prepare == nil {
			return s, nil
		}
		return prepare(ctx, conn)
	}
}

const (
	sessionKey = attribute.Key("pb.session.number")
	lostKey    = attribute.Key("pb.session.lost")
)

// sessions follows the sessions of a client.
type sessions struct {
	tracer trace.Tracer

	mu sync.Mutex
	// Guarded by mu.
	n        int64
	conn     *broker.Conn // of the latest session
	previous trace.SpanContext
}

func (s *sessions) begin(ctx context.Context, conn *broker.Conn) (context.Context, trace.Span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	attributes := append(connAttributes(conn, true), sessionKey.Int64(s.n))
	options := []trace.SpanStartOption{trace.WithAttributes(attributes...)}
	if s.previous.IsValid() {
		link := trace.Link{SpanContext: s.previous}
		if cause := context.Cause(s.conn.Context()); cause != nil {
			link.Attributes = []attribute.KeyValue{lostKey.String(clip(cause.Error()))}
		}
		options = append(options, trace.WithLinks(link))
	}
	ctx, span := s.tracer.Start(ctx, "pb.session", options...)
	s.conn, s.previous = conn, span.SpanContext()
	return ctx, span
}

func endSession(span trace.Span, err error) {
	if err != nil {
		kind := clip(outcomeOf(err).kind)
		span.SetAttributes(semconv.ErrorTypeKey.String(kind))
		span.SetStatus(codes.Error, kind)
	}
	span.End()
}
