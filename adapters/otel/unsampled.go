package otel

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"math"
	"math/rand/v2"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/embedded"

	"github.com/perspectivebroker/pb/internal/contextkey"
)

// unsampled is a span that does not record, of a trace that is not sampled, and the context that has it. It is one
// piece of memory, because most calls need no more of it than its text.
type unsampled struct {
	context.Context
	embedded.Span

	tracers trace.TracerProvider
	text    string // a valid traceparent, not sampled
	remote  bool
}

// Value implements context.Context.
func (u *unsampled) Value(key any) any {
	if key == spanKey {
		return u
	}
	return u.Context.Value(key)
}

// String names the context in logs.
func (*unsampled) String() string { return "otel.unsampled" }

// SpanContext implements trace.Span.
func (u *unsampled) SpanContext() trace.SpanContext {
	c := trace.SpanContextConfig{Remote: u.remote}
	var flags [1]byte
	_ = decodeParent(u.text, &c.TraceID, &c.SpanID, &flags)
	c.TraceFlags = trace.TraceFlags(flags[0])
	return trace.NewSpanContext(c)
}

// TracerProvider implements trace.Span.
func (u *unsampled) TracerProvider() trace.TracerProvider { return u.tracers }

// IsRecording implements trace.Span.
func (*unsampled) IsRecording() bool { return false }

// End implements trace.Span.
func (*unsampled) End(...trace.SpanEndOption) {}

// AddEvent implements trace.Span.
func (*unsampled) AddEvent(string, ...trace.EventOption) {}

// AddLink implements trace.Span.
func (*unsampled) AddLink(trace.Link) {}

// RecordError implements trace.Span.
func (*unsampled) RecordError(error, ...trace.EventOption) {}

// SetStatus implements trace.Span.
func (*unsampled) SetStatus(codes.Code, string) {}

// SetName implements trace.Span.
func (*unsampled) SetName(string) {}

// SetAttributes implements trace.Span.
func (*unsampled) SetAttributes(...attribute.KeyValue) {}

// spanKey is the key by which package trace asks a context for its span.
var spanKey = contextkey.Of(func(ctx context.Context) { _ = trace.SpanFromContext(ctx) })

// The places of the parts of a traceparent of version 00, and its length.
const (
	traceIDAt  = 3
	spanIDAt   = 36
	flagsAt    = 53
	parentSize = 55
)

// isUnsampled reports whether a traceparent is valid, of version 00, and says that its trace is not sampled.
func isUnsampled(text string) bool {
	var (
		traceID trace.TraceID
		spanID  trace.SpanID
		flags   [1]byte
	)
	return len(text) == parentSize && text[:traceIDAt] == "00-" && text[spanIDAt-1] == '-' && text[flagsAt-1] == '-' &&
		decodeParent(text, &traceID, &spanID, &flags) && traceID.IsValid() && spanID.IsValid() &&
		flags[0]&^byte(trace.FlagsRandom) == 0
}

// decodeParent reads the numbers of a traceparent, and reports whether they are well formed.
func decodeParent(text string, traceID *trace.TraceID, spanID *trace.SpanID, flags *[1]byte) bool {
	return decodeHex(traceID[:], text[traceIDAt:]) && decodeHex(spanID[:], text[spanIDAt:]) &&
		decodeHex(flags[:], text[flagsAt:])
}

// decodeHex reads hexadecimal digits in lower case, as W3C wants them.
func decodeHex(dst []byte, text string) bool {
	bad := byte(0)
	for i := range dst {
		high, low := hexDigits[text[2*i]], hexDigits[text[2*i+1]]
		dst[i] = high<<4 | low
		bad |= high | low
	}
	return bad < 16
}

// hexDigits are the values of the digits; 0xff for what is none.
var hexDigits = func() (values [256]byte) {
	for i := range values {
		values[i] = 0xff
	}
	for i, c := range []byte("0123456789abcdef") {
		values[c] = byte(i)
	}
	return values
}()

// chance samples a part of the traces by their ids, as the SDK's TraceIDRatioBased does.
type chance uint64

func newChance(part float64) chance {
	const all = 1 << 63
	if part >= 1 || math.IsNaN(part) {
		return all
	}
	return chance(max(part, 0) * all)
}

// draw makes the ids of a trace and its first span, and reports whether it is to be sampled. Otherwise its traceparent
// is returned.
func (c chance) draw() (text string, sampled bool) {
	var ids [24]byte
	traceEnd := rand.Uint64()
	if traceEnd>>1 < uint64(c) {
		return "", true
	}
	binary.BigEndian.PutUint64(ids[:], rand.Uint64()|1) // An id must not be zero.
	binary.BigEndian.PutUint64(ids[8:], traceEnd)
	binary.BigEndian.PutUint64(ids[16:], rand.Uint64()|1)
	var buf [parentSize]byte
	copy(buf[:], "00-")
	hex.Encode(buf[traceIDAt:], ids[:16])
	buf[spanIDAt-1] = '-'
	hex.Encode(buf[spanIDAt:], ids[16:])
	copy(buf[flagsAt-1:], "-00")
	return string(buf[:]), false
}
