package otel

import (
	"context"
	"log/slog"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"
)

// The names of the fields of a log line, as OpenTelemetry has them for formats other than its own.
const (
	traceField = "trace_id"
	spanField  = "span_id"
)

// LogHandler returns a handler that passes records on to h, with trace_id and span_id if the context of the line has a
// span. In a method use the ctx parameter, or [flavors.Invocation.Context]:
//
//	logger.InfoContext(ctx, "sold", "what", what)
//
// With a nil h the lines go nowhere.
func LogHandler(h slog.Handler) slog.Handler {
	if h == nil {
		h = slog.DiscardHandler
	}
	return logHandler{h}
}

type logHandler struct{ slog.Handler }

// Handle implements slog.Handler.
func (h logHandler) Handle(ctx context.Context, r slog.Record) error {
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
		r = r.Clone()
		r.AddAttrs(slog.String(traceField, sc.TraceID().String()), slog.String(spanField, sc.SpanID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h logHandler) WithGroup(name string) slog.Handler { return logHandler{h.Handler.WithGroup(name)} }

// LogHook returns a hook that adds trace_id and span_id to the lines of a zerolog.Logger whose context has a span:
//
//	log = log.Hook(otel.LogHook())
//	log.Info().Ctx(ctx).Msg("sold")
func LogHook() zerolog.Hook { return logHook{} }

type logHook struct{}

// Run implements zerolog.Hook.
func (logHook) Run(e *zerolog.Event, _ zerolog.Level, _ string) {
	if sc := trace.SpanContextFromContext(e.GetCtx()); sc.IsValid() {
		e.Str(traceField, sc.TraceID().String()).Str(spanField, sc.SpanID().String())
	}
}
