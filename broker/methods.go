package broker

import (
	"time"

	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/figures"
	"github.com/perspectivebroker/pb/internal/seam"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// The names of entries that several methods share. No method has such a name.
const (
	// UnknownMethod is the method of calls to methods that do not exist, of all types together.
	UnknownMethod = figures.Unknown
	// OtherMethod is the method of calls for which there is no entry left: beyond 1,024 methods of peers, and beyond 64
	// names that one type of [flavors.Handler] has taken.
	OtherMethod = figures.Other
)

// MethodStats are the figures of one method.
type MethodStats struct {
	// Type names the type of the object without its package. In a call to a peer the type is not known: Type is then the
	// name under which the peer publishes the object, the type of the Cacheable in an update, and otherwise empty.
	Type string
	// Method is the name of the method, [UnknownMethod] or [OtherMethod].
	Method string
	// Calls counts the calls. A method of a peer has no entry before a call to it has ended, so Pending is 0 until then.
	Calls
	// Latency has how long the calls took: those of a peer from when the call was read until the answer was handed over
	// to be written, those to a peer from when the call was handed over until the answer was read. Calls that were
	// cancelled, and calls to a peer that want no answer, are not in it. While many calls are under way on a connection,
	// every eighth call of a method is timed, beyond the first thousand, and counts eight times.
	Latency Histogram
	// LastFailure is the type of the last exception, such as builtins.ValueError, and LastFailed when it was raised. They
	// are zero if no call has failed. A peer chooses the types of the exceptions that it raises.
	LastFailure string
	LastFailed  time.Time
}

// CallFailure is a call that failed.
type CallFailure struct {
	Time time.Time
	// Incoming is true for a call of the peer.
	Incoming bool
	// Type and Method are those of [MethodStats].
	Type, Method string
	// Peer is the address of the peer.
	Peer string
	// Exception is the type of the exception. Its text is not kept. A peer chooses the types of the exceptions that it
	// raises.
	Exception string
}

// latencyBuckets is the number of buckets of a [Histogram].
const latencyBuckets = figures.Buckets

// Histogram counts durations. The upper bounds of its buckets are [LatencyBounds]; the last bucket has what is above
// all of them.
type Histogram struct {
	Buckets [latencyBuckets]uint64
	// Sum is the sum of the durations.
	Sum time.Duration
}

// LatencyBounds returns the upper bounds of all buckets but the last of a [Histogram]: the powers of two from 1 µs to
// 16.8 s. Each bucket includes its bound.
func LatencyBounds() []time.Duration {
	bounds := make([]time.Duration, latencyBuckets-1)
	for i := range bounds {
		bounds[i] = figures.Bound(i)
	}
	return bounds
}

// Count returns how many durations there are.
func (h *Histogram) Count() uint64 {
	var n uint64
	for _, in := range h.Buckets {
		n += in
	}
	return n
}

// Mean returns the mean duration, 0 if there is none.
func (h *Histogram) Mean() time.Duration {
	n := h.Count()
	if n == 0 {
		return 0
	}
	return h.Sum / time.Duration(n)
}

// Quantile estimates the duration that a part q of the durations does not exceed, such as 0.99. It assumes that the
// durations in a bucket are spread evenly, and returns the highest bound if the duration is above it. It returns 0 if
// there is no duration.
func (h *Histogram) Quantile(q float64) time.Duration {
	n := h.Count()
	if n == 0 {
		return 0
	}
	rank := min(max(q, 0), 1) * float64(n)
	below := uint64(0)
	for i, in := range h.Buckets {
		if in == 0 || float64(below+in) < rank {
			below += in
			continue
		}
		if i == latencyBuckets-1 {
			break
		}
		low := time.Duration(0)
		if i > 0 {
			low = figures.Bound(i - 1)
		}
		part := (rank - float64(below)) / float64(in)
		return low + time.Duration(part*float64(figures.Bound(i)-low))
	}
	return figures.Bound(latencyBuckets - 2)
}

func methodsOf(t *figures.Table) []MethodStats {
	sums := t.Sums()
	list := make([]MethodStats, len(sums))
	for i, s := range sums {
		m := MethodStats{Type: s.Type, Method: s.Method, LastFailure: s.LastFailure, LastFailed: s.LastFailed}
		m.Calls = Calls{Failed: s.Failed, Cancelled: s.Cancelled}
		m.fit(int64(s.Begun-min(s.Ended, s.Begun)), max(s.Begun, s.Failed+s.Cancelled))
		m.Latency = Histogram{Buckets: s.Buckets, Sum: s.Sum}
		list[i] = m
	}
	return list
}

func failuresOf(set *figures.Set) []CallFailure {
	kept := set.Failures()
	list := make([]CallFailure, len(kept))
	for i, f := range kept {
		list[i] = CallFailure{
			Time: f.At, Incoming: f.Incoming, Type: f.Type, Method: f.Method, Peer: f.Peer, Exception: f.Kind,
		}
	}
	return list
}

// outFigures counts calls of ours. It belongs to the broker, and remembers the series of the methods called last.
type outFigures struct{ known *[16]knownSeries }

type knownSeries struct {
	figures.Key
	series *figures.Series
}

// calledBy names the series of a call of ours.
func calledBy(call *seam.OutgoingCall) figures.Key {
	return figures.Key{Type: typeCalled(call), Method: call.Method}
}

func typeCalled(call *seam.OutgoingCall) string {
	if call.Observer != nil {
		return call.Observer.TypeName()
	}
	return call.Name
}

// find returns the series of a method, or nil if no call to it has been answered.
func (f *outFigures) find(t *figures.Table, typ, method string) *figures.Series {
	if f.known == nil {
		f.known = new([16]knownSeries) // Most connections of a server call nothing.
	}
	place := &f.known[placeOf(method)]
	if place.Method == method && place.Type == typ && place.series != nil {
		return place.series
	}
	k := figures.Key{Type: typ, Method: method}
	s := t.Find(k)
	if s != nil && s.Key() == k {
		*place = knownSeries{s.Key(), s}
	}
	return s
}

// placeOf spreads names over the places of outFigures.
func placeOf(name string) int {
	if name == "" {
		return 0
	}
	return (int(name[0]) + 7*int(name[len(name)-1]) + len(name)) & 15
}

// countBegun counts a call that is about to be written.
func (b *broker) countBegun(call *seam.OutgoingCall) {
	r := b.c.figures
	call.Series = b.outFigures.find(&r.Set().Out, typeCalled(call), call.Method)
	if call.Series == nil && call.Result == nil {
		call.Series = r.Set().Out.Called(calledBy(call)) // No answer will tell whether the method exists.
	}
	call.Weight = 1
	if call.Series != nil {
		call.Weight = r.Begin(call.Series, b.c.pending.Load() >= many)
	}
	if call.Result == nil {
		call.Weight = 0
	} else if call.Weight > 0 || b.c.figures.Logs() {
		call.Sent = figures.Now()
	}
}

// countSent counts a call that wants no answer as over.
func (b *broker) countSent(call *seam.OutgoingCall) {
	b.c.figures.End(call.Series, 0, 0)
	if b.c.figures.Logs() {
		b.logCall(call, 0, "")
	}
}

// countUnsent counts a call that could not be written.
func (b *broker) countUnsent(call *seam.OutgoingCall, cause error) {
	kind := internal.ExceptionOf(cause)
	s := b.seriesAtEnd(call, false)
	b.c.figures.End(s, 0, 0)
	b.c.figures.Failed(s, false, kind)
	b.logCall(call, 0, kind)
}

// seriesAtEnd returns the series of a call that is over, in which it is counted as begun.
func (b *broker) seriesAtEnd(call *seam.OutgoingCall, unknown bool) *figures.Series {
	if call.Series != nil {
		return call.Series
	}
	out := &b.c.figures.Set().Out
	if unknown {
		call.Series = out.Unknown() // The program may have got the name from somewhere else.
	} else {
		call.Series = out.Called(calledBy(call))
	}
	b.c.figures.Begin(call.Series, false)
	return call.Series
}

// countCancelled counts a call that its caller gave up before there was an answer.
func (b *broker) countCancelled(call *seam.OutgoingCall) {
	b.c.figures.Cancelled(b.seriesAtEnd(call, false))
}

// countAnswered counts a call whose answer was read at a time, or whose connection ended then.
func (b *broker) countAnswered(call *seam.OutgoingCall, read time.Duration, err error) {
	kind := ""
	if err != nil {
		kind = internal.ExceptionOf(err)
	}
	s := b.seriesAtEnd(call, err != nil && usercode.Is(err, flavors.NoSuchMethod))
	took := max(0, read-call.Sent)
	b.c.figures.End(s, call.Weight, took)
	if kind != "" {
		b.c.figures.Failed(s, false, kind)
	}
	if b.c.figures.Logs() {
		b.logCall(call, took, kind)
	}
}

func (b *broker) logCall(call *seam.OutgoingCall, took time.Duration, kind string) {
	usercode.Log(func() {
		line := b.c.log.Debug().Str("method", clip(call.Method)).Dur("duration", took)
		if k := calledBy(call); k.Type != "" {
			line = line.Str("object", clip(k.Type))
		}
		if kind != "" {
			line = line.Str("error", figures.Clip(kind))
		}
		if call.TraceID != "" {
			line = line.Str("trace_id", call.TraceID)
		}
		line.Msg("a call to the peer has ended")
	})
}
