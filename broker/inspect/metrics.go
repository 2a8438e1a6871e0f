package inspect

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/supervision"
)

// exposition is text in the format of Prometheus. The samples of a metric must follow its head.
type exposition struct {
	b    []byte
	name string
}

// head begins a metric.
func (x *exposition) head(name, kind, help string) *exposition {
	x.name = name
	x.b = fmt.Appendf(x.b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
	return x
}

func (x *exposition) counter(name, help string) *exposition { return x.head(name, "counter", help) }
func (x *exposition) gauge(name, help string) *exposition   { return x.head(name, "gauge", help) }

// sample writes one value. labels are pairs of name and value.
func (x *exposition) sample(value float64, labels ...string) { x.suffixed("", value, labels...) }

func (x *exposition) suffixed(suffix string, value float64, labels ...string) {
	x.b = append(append(x.b, x.name...), suffix...)
	if len(labels) > 0 {
		x.b = append(x.b, '{')
		for i := 0; i < len(labels); i += 2 {
			x.b = fmt.Appendf(x.b, `%s="%s",`, labels[i], escapeLabel(labels[i+1]))
		}
		x.b[len(x.b)-1] = '}'
	}
	x.b = append(x.b, ' ')
	x.b = strconv.AppendFloat(x.b, value, 'g', -1, 64)
	x.b = append(x.b, '\n')
}

var labelEscaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// escapeLabel escapes the value of a label. What is not printable was escaped before, by clean.
func escapeLabel(s string) string { return labelEscaper.Replace(clean(s)) }

// appendMetrics appends the metrics of a sample.
func appendMetrics(dst []byte, rt *actor.Runtime, s *sample) []byte {
	x := &exposition{b: dst}
	st := &s.stats
	x.gauge("pb_connections", "Connections that are open.").sample(float64(st.Conns.Open))
	x.gauge("pb_connections_opening", "Connections that are being negotiated.").sample(float64(st.Conns.Opening))
	x.counter("pb_connections_accepted_total", "Connections that were accepted.").sample(float64(st.Conns.Accepted))
	x.counter("pb_connections_dialed_total", "Connections that were dialed.").sample(float64(st.Conns.Dialed))
	x.counter("pb_connections_closed_total", "Connections that have ended, by reason.")
	for _, c := range byReason(st.Conns.Closed) {
		x.sample(float64(c.Count), "reason", c.Reason)
	}
	x.counter("pb_refusals_total", "What was refused, by reason.")
	for _, c := range byReason(st.Refusals) {
		x.sample(float64(c.Count), "reason", c.Reason)
	}
	x.calls(st)
	x.counter("pb_bytes_total", "Bytes read from and written to connections.")
	x.sample(float64(st.BytesIn), "direction", "in")
	x.sample(float64(st.BytesOut), "direction", "out")
	x.counter("pb_messages_total", "Messages of the protocol.")
	x.sample(float64(st.FramesIn), "direction", "in")
	x.sample(float64(st.FramesOut), "direction", "out")
	x.gauge("pb_exports", "Objects here that peers hold references to.").sample(float64(st.Exports))
	x.gauge("pb_imports", "Objects of peers that are held here.").sample(float64(st.Imports))
	x.gauge("pb_caches", "Copies that peers keep of objects here.").sample(float64(st.Caches))
	x.gauge("pb_local_caches", "Copies that are kept here of objects of peers.").sample(float64(st.LocalCaches))
	x.gauge("pb_unwritten_bytes", "Bytes that wait to be written.").sample(float64(st.BytesWaiting))
	x.gauge("pb_unanswered_bytes", "Bytes of the calls of peers without an answer.").sample(float64(st.BytesUnanswered))
	x.gauge("pb_held_bytes", "Memory that Limits.MemoryTotal bounds.").sample(float64(st.BytesHeld))
	x.counter("pb_collections_total", "Garbage collections requested to find unused references.").
		sample(float64(st.Collections))
	x.methods(st)
	x.actors(rt)
	return x.b
}

// byReason returns the entries of a map, sorted by name.
func byReason[R ~string](m map[R]uint64) []Count {
	list := counts(m)
	slices.SortFunc(list, func(a, b Count) int { return cmp.Compare(a.Reason, b.Reason) })
	return list
}

func (x *exposition) calls(st *broker.RuntimeStats) {
	directions := []struct {
		name  string
		calls broker.Calls
	}{{"in", st.CallsIn}, {"out", st.CallsOut}}
	x.counter("pb_calls_total", "Calls that were made, by peers (in) and to peers (out).")
	for _, d := range directions {
		x.sample(float64(d.calls.Made), "direction", d.name)
	}
	x.counter("pb_calls_failed_total", "Calls that ended with an error.")
	for _, d := range directions {
		x.sample(float64(d.calls.Failed), "direction", d.name)
	}
	x.counter("pb_calls_cancelled_total", "Calls that their caller gave up.")
	for _, d := range directions {
		x.sample(float64(d.calls.Cancelled), "direction", d.name)
	}
	x.gauge("pb_calls_pending", "Calls without an answer.")
	for _, d := range directions {
		x.sample(float64(d.calls.Pending), "direction", d.name)
	}
}

// methods writes the figures of methods. Methods that do not exist share one series.
func (x *exposition) methods(st *broker.RuntimeStats) {
	each := func(f func(m *broker.MethodStats, labels ...string)) {
		for _, d := range []struct {
			name string
			list []broker.MethodStats
		}{{"in", st.MethodsIn}, {"out", st.MethodsOut}} {
			for i := range d.list {
				m := &d.list[i]
				f(m, "direction", d.name, "type", m.Type, "method", m.Method)
			}
		}
	}
	x.counter("pb_method_calls_total", "Calls, by the type of the object and the method.")
	each(func(m *broker.MethodStats, labels ...string) { x.sample(float64(m.Made), labels...) })
	x.counter("pb_method_failures_total", "Calls that ended with an error, by type and method.")
	each(func(m *broker.MethodStats, labels ...string) { x.sample(float64(m.Failed), labels...) })
	x.gauge("pb_method_pending", "Calls without an answer, by type and method.")
	each(func(m *broker.MethodStats, labels ...string) { x.sample(float64(m.Pending), labels...) })
	x.head("pb_call_duration_seconds", "histogram", "How long calls took, by type and method.")
	limits := bounds()
	each(func(m *broker.MethodStats, labels ...string) {
		le := append(slices.Clone(labels), "le", "")
		count := uint64(0)
		for i, n := range m.Latency.Buckets {
			count += n
			le[len(le)-1] = "+Inf"
			if i < len(limits) {
				le[len(le)-1] = strconv.FormatFloat(limits[i], 'g', -1, 64)
			}
			x.suffixed("_bucket", float64(count), le...)
		}
		x.suffixed("_sum", m.Latency.Sum.Seconds(), labels...)
		x.suffixed("_count", float64(count), labels...)
	})
}

func (x *exposition) actors(rt *actor.Runtime) {
	t := supervision.TreeOf(rt)
	each := func(f func(k supervision.Kind, labels ...string)) {
		for _, b := range []supervision.Branch{
			supervision.Listeners, supervision.Dialers, supervision.Objects, supervision.Caches,
		} {
			for _, k := range t.Kinds(b) {
				f(k, "branch", b.String(), "kind", k.Prefix)
			}
		}
	}
	x.gauge("pb_actors", "Actors, by branch of the tree and kind.")
	each(func(k supervision.Kind, labels ...string) { x.sample(float64(k.Actors), labels...) })
	x.counter("pb_actor_restarts_total", "Restarts of actors after a panic, by branch and kind.")
	each(func(k supervision.Kind, labels ...string) { x.sample(float64(k.Restarts), labels...) })
}
