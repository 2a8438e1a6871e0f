package otel

import (
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// ScopeName is the instrumentation scope of the tracer and the meter.
const ScopeName = "github.com/perspectivebroker/pb/adapters/otel"

// Option configures [Interceptor] and [Session].
type Option interface{ apply(o *options) }

type options struct {
	tracers    trace.TracerProvider
	meters     metric.MeterProvider
	propagator propagation.TextMapPropagator
	public     bool
	parental   bool
	roots      *chance // nil if the provider decides
}

type optionFunc func(o *options)

func (f optionFunc) apply(o *options) { f(o) }

func newOptions(opts []Option) *options {
	o := &options{
		tracers:    otel.GetTracerProvider(),
		meters:     otel.GetMeterProvider(),
		propagator: propagation.TraceContext{},
	}
	for _, opt := range opts {
		if opt != nil {
			opt.apply(o)
		}
	}
	return o
}

func (o *options) tracer() trace.Tracer {
	return o.tracers.Tracer(ScopeName, trace.WithSchemaURL(semconv.SchemaURL))
}

// WithTracerProvider sets where spans go. The default, also for nil, is the global provider of OpenTelemetry.
func WithTracerProvider(p trace.TracerProvider) Option {
	return optionFunc(func(o *options) {
		if p != nil {
			o.tracers = p
		}
	})
}

// WithMeterProvider sets where durations of calls go. The default, also for nil, is the global provider of
// OpenTelemetry.
func WithMeterProvider(p metric.MeterProvider) Option {
	return optionFunc(func(o *options) {
		if p != nil {
			o.meters = p
		}
	})
}

// WithPropagator sets what metadata carries. The default, also for nil, is W3C's trace context (traceparent and
// tracestate), not the global propagator, which does nothing unless the program sets it.
func WithPropagator(p propagation.TextMapPropagator) Option {
	return optionFunc(func(o *options) {
		if p != nil {
			o.propagator = p
		}
	})
}

// WithPublicEndpoint has each call of a peer begin a trace of its own, which links to the span of the caller. It is for
// listeners whose peers must not decide which calls are sampled.
func WithPublicEndpoint() Option {
	return optionFunc(func(o *options) { o.public = true })
}

// WithParentBased says that the sampler of the tracer provider follows the decision of the caller, as ParentBased does,
// the SDK's default. Then a call that belongs to a trace which is not sampled is not offered to the provider: it passes
// the trace context on as it is, and costs less. Without this option, or with another sampler, such a call has a span
// that does not record.
func WithParentBased() Option {
	return optionFunc(func(o *options) { o.parental = true })
}

// WithSampling samples a part of the traces that begin with a call, from 0 to 1. The default is that the sampler of the
// tracer provider decides. Calls that are not sampled are not offered to the provider, which costs less. Their trace
// contexts travel as ever and say that they are not sampled. The provider's sampler still decides about the others,
// which the SDK's default takes all, and about spans that the program starts. WithSampling implies [WithParentBased].
func WithSampling(part float64) Option {
	return optionFunc(func(o *options) {
		roots := newChance(part)
		o.parental, o.roots = true, &roots
	})
}
