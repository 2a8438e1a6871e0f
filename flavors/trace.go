package flavors

import (
	"context"
	"strings"

	"github.com/rs/zerolog"
)

const (
	traceparentKey = "traceparent"
	// traceField is the field of log lines that names the trace to which a call belongs.
	traceField = "trace_id"
)

// TraceID returns the id of the trace to which the calls of a context belong, as 32 hexadecimal digits; "" if there is
// none. It is that of the "traceparent" in the metadata that calls made with ctx carry ([WithMetadata]), otherwise in
// that of the call in whose context a method runs. The lines that the library logs about a call have the same id, in
// the field trace_id.
func TraceID(ctx context.Context) string {
	if ctx == nil {
		return ""
	}
	if id := traceIDIn(OutgoingMetadata(ctx)); id != "" {
		return id
	}
	return traceIDIn(IncomingMetadata(ctx))
}

// traceIDIn returns the trace id in the W3C traceparent of a call's metadata; "" if there is no valid one.
func traceIDIn(m Metadata) string {
	parent, _ := m[traceparentKey].(string)
	return traceIDOf(parent)
}

// traceIDOf returns the trace id in a traceparent; "" if it is not valid.
func traceIDOf(parent string) string {
	const from, to, least = 3, 35, 55 // version-traceid-parent-flags; later versions may be longer
	if len(parent) < least || parent[from-1] != '-' || parent[to] != '-' || parent[52] != '-' {
		return ""
	}
	id := parent[from:to]
	if strings.Trim(id, "0123456789abcdef") != "" || strings.Trim(id, "0") == "" {
		return ""
	}
	return id
}

// traceID returns the id of the trace to which the call belongs; "" if there is none.
func (inv *Invocation) traceID() string {
	if inv.interception.hasContext() {
		if id := TraceID(inv.Context()); id != "" {
			return id
		}
	}
	return traceIDOf(inv.metadata.text(traceparentKey))
}

// traced adds the trace of the call to a log line.
func (inv *Invocation) traced(line *zerolog.Event) *zerolog.Event {
	if !line.Enabled() {
		return line
	}
	if id := inv.traceID(); id != "" {
		line.Str(traceField, id)
	}
	return line
}
