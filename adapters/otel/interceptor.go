package otel

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// Interceptor returns an interceptor that makes a span for each call, in both directions, passes trace contexts on, and
// records durations. Give it to [broker.WithInterceptor], for listeners and dialers alike; one may serve many. Put it
// first, so that what other interceptors do counts as part of the call.
func Interceptor(opts ...Option) flavors.Interceptor {
	o := newOptions(opts)
	meter := o.meters.Meter(ScopeName, metric.WithSchemaURL(semconv.SchemaURL))
	_, plain := o.propagator.(propagation.TraceContext)
	return &interceptor{
		plain:      plain && spanKey != nil,
		tracer:     o.tracer(),
		propagator: o.propagator,
		public:     o.public,
		parental:   o.parental,
		roots:      o.roots,
		tracers:    o.tracers,
		in: direction{
			incoming: true,
			methods:  methods{kind: trace.WithSpanKind(trace.SpanKindServer)},
			duration: histogram(meter, "rpc.server.call.duration", "Duration of calls of peers."),
		},
		out: direction{
			methods:  methods{kind: trace.WithSpanKind(trace.SpanKindClient)},
			duration: histogram(meter, "rpc.client.call.duration", "Duration of calls to peers."),
		},
	}
}

// durationBounds are those that the semantic conventions advise, with three below them: a call on one machine takes
// less than 5 ms.
var durationBounds = []float64{
	.0001, .0005, .001, .005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10,
}

func histogram(meter metric.Meter, name, description string) metric.Float64Histogram {
	h, err := meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(description),
		metric.WithExplicitBucketBoundaries(durationBounds...))
	if err != nil {
		otel.Handle(err)
	}
	if h == nil {
		return noop.Float64Histogram{}
	}
	return h
}

type interceptor struct {
	tracer     trace.Tracer
	propagator propagation.TextMapPropagator
	public     bool
	parental   bool
	roots      *chance
	tracers    trace.TracerProvider
	plain      bool // the propagator is TraceContext
	in, out    direction
}

// direction has what the calls of one direction share.
type direction struct {
	incoming bool
	duration metric.Float64Histogram
	methods  methods
	kinds    kinds
}

// WrapCall implements [flavors.Interceptor].
func (i *interceptor) WrapCall(next flavors.CallFunc) flavors.CallFunc {
	return func(ctx context.Context, call *flavors.CallInfo) (any, error) {
		ctx, c := i.begin(ctx, call)
		if c == nil {
			return next(ctx, call)
		}
		returned := false
		defer func() {
			if !returned { // An interceptor after this one panicked.
				c.end(errPanicked)
			}
		}()
		v, err := next(ctx, call)
		returned = true
		if d, ok := v.(*actor.Deferred); !ok || d == nil || err != nil {
			c.end(err)
			*c = running{}
			runs.Put(c)
			return v, err
		}
		c.follow()
		return flavors.WhenDone(v, err, func(v any, err error) (any, error) {
			c.end(err)
			return v, err
		})
	}
}

// errPanicked stands for a panic that this interceptor does not recover.
var errPanicked = flavors.RuntimeError.New("panic")

// begin starts the span of a call. The result is nil if nothing is to be recorded at the end.
func (i *interceptor) begin(ctx context.Context, call *flavors.CallInfo) (context.Context, *running) {
	dir := &i.out
	var links trace.SpanStartOption
	if call.Incoming() {
		dir = &i.in
		ctx, links = i.extract(ctx, call)
	}
	ctx, offered := i.offer(ctx)
	var m *method
	var span trace.Span
	recording := false
	if offered {
		m = dir.methods.find(call.Type(), call.Method())
		start := m.start
		if links != nil {
			start = append(slices.Clip(start), links)
		}
		ctx, span = i.tracer.Start(ctx, m.spanName, start...)
		recording = span.IsRecording()
	}
	if recording {
		span.SetAttributes(callAttributes(call)...)
	}
	if !dir.incoming {
		ctx = i.inject(ctx, call)
	}
	if !recording && !dir.duration.Enabled(ctx) {
		return ctx, nil
	}
	if m == nil {
		m = dir.methods.find(call.Type(), call.Method())
	}
	c := runs.Get().(*running)
	c.dir, c.method, c.span, c.recording = dir, m, span, recording
	c.ctx = ctx
	c.began = time.Now()
	return ctx, c
}

// offer reports whether the tracer provider is to make a span for a call in ctx. If not, the call belongs to a trace
// that is not sampled, which the context has that is returned.
func (i *interceptor) offer(ctx context.Context) (context.Context, bool) {
	if !i.parental {
		return ctx, true
	}
	parent := trace.SpanFromContext(ctx)
	if _, ok := parent.(*unsampled); ok {
		return ctx, false
	}
	if c := parent.SpanContext(); c.IsValid() {
		return ctx, c.IsSampled()
	}
	if i.roots == nil {
		return ctx, true
	}
	text, sampled := i.roots.draw()
	if sampled {
		return ctx, true
	}
	return i.unsampled(ctx, text, false), false
}

// unsampled returns ctx with a trace context that is not sampled.
func (i *interceptor) unsampled(ctx context.Context, text string, remote bool) context.Context {
	u := &unsampled{Context: ctx, tracers: i.tracers, text: text, remote: remote}
	if spanKey == nil {
		return trace.ContextWithSpan(ctx, u)
	}
	return u
}

// runs pools what is noted about calls whose result has not come later.
var runs = sync.Pool{New: func() any { return new(running) }}

// extract returns ctx with the trace context that a call of the peer carries.
func (i *interceptor) extract(
	ctx context.Context,
	call *flavors.CallInfo,
) (_ context.Context, links trace.SpanStartOption) {
	if i.plain && i.parental && !i.public {
		if text := call.MetadataText(traceparentKey); isUnsampled(text) && call.MetadataText(tracestateKey) == "" {
			return i.unsampled(ctx, text, true), nil
		}
	}
	ctx = i.propagator.Extract(ctx, (*received)(call))
	if !i.public {
		return ctx, nil
	}
	caller := trace.SpanContextFromContext(ctx)
	if !caller.IsValid() {
		return ctx, nil
	}
	ctx = trace.ContextWithSpanContext(ctx, trace.SpanContext{})
	return ctx, trace.WithLinks(trace.Link{SpanContext: caller})
}

// inject returns ctx with the metadata that carries its trace context, if the peer takes metadata.
func (i *interceptor) inject(ctx context.Context, call *flavors.CallInfo) context.Context {
	if conn, ok := call.Conn().(*broker.Conn); ok && !takesMetadata(conn) {
		return ctx
	}
	if i.plain && flavors.OutgoingMetadata(ctx) == nil {
		if text := traceparentOf(trace.SpanFromContext(ctx)); text != "" {
			return flavors.WithMetadataText(ctx, traceparentKey, text)
		}
	}
	m := carrier{}
	i.propagator.Inject(ctx, m)
	if m.fit(flavors.OutgoingMetadata(ctx)); len(m) == 0 {
		return ctx
	}
	return flavors.WithMetadata(ctx, flavors.Metadata(m))
}

const (
	traceparentKey = "traceparent"
	tracestateKey  = "tracestate"
)

// traceparentOf returns the traceparent of a span; "" if it has none, or a tracestate as well.
func traceparentOf(span trace.Span) string {
	if u, ok := span.(*unsampled); ok {
		return u.text
	}
	if sc := span.SpanContext(); sc.IsValid() && sc.TraceState().Len() == 0 {
		return traceparent(sc)
	}
	return ""
}

// traceparent returns what propagation.TraceContext puts there, with less memory.
func traceparent(sc trace.SpanContext) string {
	const size = 2 + 1 + 32 + 1 + 16 + 1 + 2
	buf := make([]byte, 0, size)
	traceID, spanID := sc.TraceID(), sc.SpanID()
	buf = append(buf, "00-"...)
	buf = append(hex.AppendEncode(buf, traceID[:]), '-')
	buf = append(hex.AppendEncode(buf, spanID[:]), '-')
	flags := sc.TraceFlags() & (trace.FlagsSampled | trace.FlagsRandom)
	return string(hex.AppendEncode(buf, []byte{byte(flags)}))
}

// takesMetadata reports whether calls over a connection may carry metadata.
func takesMetadata(conn *broker.Conn) bool {
	dialect := conn.Dialect()
	return dialect == extendedDialect || dialect == "" // It is not known yet.
}

const extendedDialect = "pb+1"

// running is a call that is under way.
type running struct {
	dir       *direction
	method    *method
	span      trace.Span
	recording bool
	ctx       context.Context
	began     time.Time
	unfollow  func() bool // nil if the result did not come later
	over      atomic.Bool
}

// follow ends the span of a method that has returned a Deferred when the caller does not want the result any more. The
// Deferred need not ever complete then.
func (c *running) follow() {
	if c.dir.incoming {
		c.unfollow = context.AfterFunc(c.ctx, func() { c.finish(nil) })
	}
}

// end ends the span of a call with a result.
func (c *running) end(err error) {
	if c.unfollow != nil {
		c.unfollow()
	}
	c.finish(err)
}

// finish ends the span, once.
func (c *running) finish(err error) {
	if c.over.Swap(true) {
		return
	}
	took := time.Since(c.began)
	if err == nil && c.dir.incoming && c.ctx.Err() != nil {
		err = lateError(c.ctx)
	}
	var o outcome
	if err != nil {
		o = outcomeOf(err)
		o.kind = c.dir.kinds.name(o.kind)
	}
	m := c.dir.methods.settle(c.method, !o.unknown)
	c.dir.duration.Record(c.ctx, took.Seconds(), m.measured(o.kind)...)
	if c.recording {
		c.endSpan(m, o)
	}
}

func (c *running) endSpan(m *method, o outcome) {
	if m.name != c.method.name {
		c.span.SetName(m.spanName)
		c.span.SetAttributes(semconv.RPCMethod(m.name), semconv.RPCMethodOriginal(c.method.name))
	}
	if o.kind != "" {
		c.span.SetAttributes(semconv.ErrorTypeKey.String(o.kind))
		description := o.kind
		if o.panicked {
			description = "panic"
		}
		c.span.SetStatus(codes.Error, description)
	}
	c.span.End()
}

// lateError is the error of a call whose context ended before it had an answer.
func lateError(ctx context.Context) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, context.DeadlineExceeded) || errors.Is(cause, context.Canceled) {
		return cause
	}
	return flavors.ConnectionLost
}
