package inspect

import (
	"cmp"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/seam"
)

const (
	// The most entries of lists.
	maxConnections = 100
	maxMethods     = 200
	maxObjects     = 100
	maxUsers       = 8
	maxKinds       = 50
	// maxVisited is how many objects are looked at to find those with the longest mailboxes.
	maxVisited = 10_000
	// minWindow is the shortest time over which rates are computed.
	minWindow = 900 * time.Millisecond
	// restFactor is how much longer than a snapshot took there is none afterwards.
	restFactor = 4
	maxRest    = time.Second
)

// internals is what package flavors has for this package and not for users.
var internals = flavors.Internal.Export(seam.Token{})

// processStart is when the process began, more or less.
var processStart = time.Now()

// sampler takes snapshots of a runtime. All who look at it share them.
type sampler struct {
	rt    *actor.Runtime
	begun atomic.Uint64 // how many samples have been begun

	turn   chan struct{} // has room for the one goroutine that uses what follows
	latest *sample
	base   tallies // the counts from which the next rates are computed
	rates  rates
}

// sample is a snapshot in all its forms.
type sample struct {
	number       uint64
	began, ended time.Time
	stats        broker.RuntimeStats
	snapshot     *Snapshot
	json         []byte
}

// methodKey identifies a method in rates.
type methodKey struct {
	incoming     bool
	kind, method string
}

// tallies are counts of one moment.
type tallies struct {
	at                time.Time // zero if nobody has looked yet
	in, out           uint64
	bytesIn, bytesOut uint64
	connections       map[uint64]uint64 // calls by the connection's number
	methods           map[methodKey]uint64
}

// rates are per second.
type rates struct {
	window            time.Duration
	in, out           float64
	bytesIn, bytesOut float64
	connections       map[uint64]float64
	methods           map[methodKey]float64
}

func newSampler(rt *actor.Runtime) *sampler { return &sampler{rt: rt, turn: make(chan struct{}, 1)} }

// fresh returns a sample that was begun after the call.
func (s *sampler) fresh(ctx context.Context) (*sample, error) {
	asked := s.begun.Load()
	return s.sample(ctx, func(latest *sample) bool { return latest.number > asked })
}

// recent returns a sample that is not older than age.
func (s *sampler) recent(ctx context.Context, age time.Duration) (*sample, error) {
	return s.sample(ctx, func(latest *sample) bool { return time.Since(latest.began) <= age })
}

// sample returns the latest sample, or takes one if that will not do.
func (s *sampler) sample(ctx context.Context, willDo func(*sample) bool) (*sample, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if s.latest == nil || !willDo(s.latest) {
		if err := s.rest(ctx); err != nil {
			return nil, err
		}
		s.latest = s.take()
	}
	return s.latest, nil
}

// rest waits so that snapshots take a small part of the time.
func (s *sampler) rest(ctx context.Context) error {
	if s.latest == nil {
		return nil
	}
	took := s.latest.ended.Sub(s.latest.began)
	rest := time.Until(s.latest.ended.Add(min(restFactor*took, maxRest)))
	if rest <= 0 {
		return nil
	}
	over := time.NewTimer(rest)
	defer over.Stop()
	select {
	case <-over.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *sampler) take() *sample {
	now := time.Now()
	t := &sample{number: s.begun.Add(1), began: now}
	t.stats = broker.StatsOf(s.rt)
	conns := broker.ConnsOf(s.rt)
	seen := make([]seenConn, 0, len(conns))
	for _, c := range conns {
		seen = append(seen, look(c))
	}
	s.measure(now, &t.stats, seen)
	t.snapshot = s.snapshot(now, &t.stats, seen)
	t.json, _ = json.Marshal(t.snapshot) // It has no values that JSON lacks.
	t.ended = time.Now()
	return t
}

// seenConn is what decides which connections are shown.
type seenConn struct {
	conn    *broker.Conn
	number  uint64
	parent  string // the id of the parent of its actor
	calls   uint64
	waiting int
	rate    float64
}

func look(c *broker.Conn) seenConn {
	st := c.Stats()
	return seenConn{
		conn: c, number: c.Info().Number, parent: parentOf(c.PID().GetId()),
		calls:   st.CallsIn.Made + st.CallsOut.Made,
		waiting: st.CallsIn.Pending + st.CallsOut.Pending + st.BytesWaiting,
	}
}

// parentOf returns the id of an actor's parent.
func parentOf(id string) string { return id[:max(strings.LastIndexByte(id, '/'), 0)] }

// measure computes the rates, if enough time has passed since the last time.
func (s *sampler) measure(now time.Time, st *broker.RuntimeStats, seen []seenConn) {
	if window := now.Sub(s.base.at); window >= minWindow {
		next := tallies{
			at: now, in: st.CallsIn.Made, out: st.CallsOut.Made, bytesIn: st.BytesIn, bytesOut: st.BytesOut,
			connections: make(map[uint64]uint64, len(seen)), methods: map[methodKey]uint64{},
		}
		if s.base.at.IsZero() {
			window = now.Sub(processStart)
		}
		per := func(now, before uint64) float64 { return perSecond(now-min(before, now), window) }
		r := rates{
			window: window,
			in:     per(next.in, s.base.in), out: per(next.out, s.base.out),
			bytesIn: per(next.bytesIn, s.base.bytesIn), bytesOut: per(next.bytesOut, s.base.bytesOut),
			connections: make(map[uint64]float64, len(seen)), methods: map[methodKey]float64{},
		}
		for _, c := range seen {
			next.connections[c.number] = c.calls
			if old, ok := s.base.connections[c.number]; ok {
				r.connections[c.number] = per(c.calls, old)
			}
		}
		for key, calls := range methodCalls(st) {
			next.methods[key] = calls
			r.methods[key] = per(calls, s.base.methods[key])
		}
		s.base, s.rates = next, r
	}
	for i := range seen {
		c := &seen[i]
		rate, ok := s.rates.connections[c.number]
		if !ok { // It is new, or nobody has looked before.
			rate = perSecond(c.calls, max(now.Sub(c.conn.Info().Began), time.Second))
		}
		c.rate = rate
	}
}

func perSecond(n uint64, d time.Duration) float64 {
	return float64(n) / max(d.Seconds(), time.Millisecond.Seconds())
}

// methodCalls yields how often each method was called.
func methodCalls(st *broker.RuntimeStats) func(yield func(methodKey, uint64) bool) {
	return func(yield func(methodKey, uint64) bool) {
		for incoming, list := range map[bool][]broker.MethodStats{true: st.MethodsIn, false: st.MethodsOut} {
			for i := range list {
				m := &list[i]
				if !yield(methodKey{incoming, m.Type, m.Method}, m.Made) {
					return
				}
			}
		}
	}
}

func (s *sampler) snapshot(now time.Time, st *broker.RuntimeStats, seen []seenConn) *Snapshot {
	n := &Snapshot{
		Program: program(), Time: now, Uptime: now.Sub(processStart).Seconds(), Window: s.rates.window.Seconds(),
		Closing: isClosing(s.rt), Goroutines: runtime.NumGoroutine(), Memory: memory(),
		Totals: s.totals(st), Refusals: counts(st.Refusals), Closed: counts(st.Conns.Closed),
		LatencyBounds: bounds(), Failures: failures(st.Failures),
	}
	n.Connections, n.MoreConnections = connections(now, seen)
	n.Methods, n.MoreMethods = s.methods(st)
	n.Objects, n.MoreObjects = objects(s.rt)
	n.Tree = tree(s.rt, seen)
	return n
}

func program() string { return clean(filepath.Base(os.Args[0])) }

func isClosing(rt *actor.Runtime) bool {
	select {
	case <-rt.Closing():
		return true
	default:
		return false
	}
}

// memory returns how many bytes the process has in use. It does not stop the program, unlike runtime.ReadMemStats.
func memory() uint64 {
	m := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(m)
	if m[0].Value.Kind() != metrics.KindUint64 || m[1].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return m[0].Value.Uint64() - m[1].Value.Uint64()
}

func (s *sampler) totals(st *broker.RuntimeStats) Totals {
	t := Totals{
		Open: st.Conns.Open, Opening: st.Conns.Opening, Accepted: st.Conns.Accepted, Dialed: st.Conns.Dialed,
		CallsIn: Calls(st.CallsIn), CallsOut: Calls(st.CallsOut), RateIn: s.rates.in, RateOut: s.rates.out,
		BytesIn: st.BytesIn, BytesOut: st.BytesOut, BytesRateIn: s.rates.bytesIn, BytesRateOut: s.rates.bytesOut,
		MessagesIn: st.FramesIn, MessagesOut: st.FramesOut,
		References: references(&st.Stats), Waiting: waiting(&st.Stats), Held: st.BytesHeld,
	}
	for _, count := range st.Refusals {
		t.Refused += count
	}
	return t
}

func references(st *broker.Stats) References {
	return References{Exports: st.Exports, Imports: st.Imports, Caches: st.Caches, LocalCaches: st.LocalCaches}
}

func waiting(st *broker.Stats) Waiting {
	return Waiting{Unwritten: st.BytesWaiting, Unanswered: st.BytesUnanswered}
}

// counts returns the entries of a map, the largest first.
func counts[R ~string](m map[R]uint64) []Count {
	list := make([]Count, 0, len(m))
	for reason, count := range m {
		list = append(list, Count{string(reason), count})
	}
	slices.SortFunc(list, func(a, b Count) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Reason, b.Reason))
	})
	return list
}

func connections(now time.Time, seen []seenConn) (list []Connection, more int) {
	shown := first(slices.Clone(seen), maxConnections, func(a, b seenConn) int {
		return cmp.Or(cmp.Compare(b.rate, a.rate), cmp.Compare(b.waiting, a.waiting), cmp.Compare(b.number, a.number))
	})
	slices.SortFunc(shown, func(a, b seenConn) int { return cmp.Compare(a.number, b.number) })
	list = make([]Connection, 0, len(shown))
	for _, c := range shown {
		list = append(list, describe(now, c))
	}
	return list, len(seen) - len(list)
}

// first sorts a list and returns at most n of its entries.
func first[E any](list []E, n int, compare func(a, b E) int) []E {
	slices.SortFunc(list, compare)
	return list[:min(n, len(list))]
}

func describe(now time.Time, c seenConn) Connection {
	info, st := c.conn.Info(), c.conn.Stats()
	d := Connection{
		Number: info.Number, Peer: clean(info.Peer), Dialed: info.Dialed, State: info.State,
		Users: []string{}, Actor: clean(c.conn.PID().GetId()), Age: max(0, now.Sub(info.Began).Seconds()), Rate: c.rate,
		CallsIn: Calls(st.CallsIn), CallsOut: Calls(st.CallsOut), BytesIn: st.BytesIn, BytesOut: st.BytesOut,
		References: references(&st), Waiting: waiting(&st),
	}
	if info.State != "negotiating" {
		d.Dialect = c.conn.Dialect()
	}
	slices.Sort(info.Users)
	for _, name := range slices.Compact(info.Users) {
		if len(d.Users) < maxUsers {
			d.Users = append(d.Users, clean(name))
		} else {
			d.MoreUsers++
		}
	}
	for _, count := range st.Refusals {
		d.Refused += count
	}
	return d
}

// methods returns the most frequent and the slowest methods.
func (s *sampler) methods(st *broker.RuntimeStats) (list []Method, more int) {
	all := make([]Method, 0, len(st.MethodsIn)+len(st.MethodsOut))
	for incoming, from := range map[bool][]broker.MethodStats{true: st.MethodsIn, false: st.MethodsOut} {
		for i := range from {
			m := &from[i]
			rate := s.rates.methods[methodKey{incoming, m.Type, m.Method}]
			all = append(all, describeMethod(incoming, m, rate))
		}
	}
	frequent := func(a, b Method) int {
		return cmp.Or(cmp.Compare(b.Made, a.Made), strings.Compare(a.Type, b.Type), strings.Compare(a.Method, b.Method),
			compareBool(b.Incoming, a.Incoming))
	}
	slices.SortFunc(all, frequent)
	if len(all) <= maxMethods {
		return all, 0
	}
	list = slices.Clone(all[:maxMethods/2])
	slow := first(all[maxMethods/2:], maxMethods/2, func(a, b Method) int {
		return cmp.Or(cmp.Compare(b.P99, a.P99), frequent(a, b))
	})
	list = append(list, slow...)
	slices.SortFunc(list, frequent)
	return list, len(all) - len(list)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

func describeMethod(incoming bool, m *broker.MethodStats, rate float64) Method {
	h := &m.Latency
	return Method{
		Incoming: incoming, Type: clean(m.Type), Method: clean(m.Method), Rate: rate, Calls: Calls(m.Calls),
		Mean: h.Mean().Seconds(), P50: h.Quantile(0.5).Seconds(), P90: h.Quantile(0.9).Seconds(),
		P99: h.Quantile(0.99).Seconds(), Latency: h.Buckets[:], LastFailure: clean(m.LastFailure),
	}
}

func bounds() []float64 {
	from := broker.LatencyBounds()
	list := make([]float64, len(from))
	for i, d := range from {
		list[i] = d.Seconds()
	}
	return list
}

func failures(from []broker.CallFailure) []Failure {
	list := make([]Failure, 0, len(from))
	for _, f := range slices.Backward(from) {
		list = append(list, Failure{
			Time: f.Time, Incoming: f.Incoming, Type: clean(f.Type), Method: clean(f.Method), Peer: clean(f.Peer),
			Exception: clean(f.Exception),
		})
	}
	return list
}

// objects returns the objects with the longest mailboxes.
func objects(rt *actor.Runtime) (list []Object, more int) {
	var all []seam.ObjectInfo
	total := internals.Objects(rt, maxVisited, func(o seam.ObjectInfo) { all = append(all, o) })
	all = first(all, maxObjects, func(a, b seam.ObjectInfo) int {
		return cmp.Or(cmp.Compare(b.Waiting, a.Waiting), cmp.Compare(b.Restarts, a.Restarts),
			compareBool(b.Running != "", a.Running != ""), strings.Compare(a.Type, b.Type), strings.Compare(a.Actor, b.Actor))
	})
	list = make([]Object, 0, len(all))
	for _, o := range all {
		list = append(list, Object{
			Actor: clean(o.Actor), Type: clean(o.Type), Mailbox: o.Waiting, Running: clean(o.Running), Restarts: o.Restarts,
			Holders: o.Holders, Copies: o.Copies,
		})
	}
	return list, max(0, total-len(list))
}
