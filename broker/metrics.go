package broker

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/internal/figures"
)

func (c *connection) snapshot() Stats {
	n := &c.metrics
	s := Stats{
		Collections: n.collections.Load(),
		BytesIn:     n.bytesIn.Load(), BytesOut: uint64(c.bytesOut.Load()), FramesIn: n.framesIn.Load(),
		Exports: int(c.exported.Load()), Imports: int(n.imports.Load()),
		Relays: int(n.relays.Load()),
		Caches: int(n.caches.Load()), LocalCaches: int(n.local.Load()),
		Results:  int(n.kept.Load()),
		Refusals: map[Rejection]uint64{},
	}
	s.BytesUnanswered = c.account.Unanswered().Wire
	s.BytesWaiting, s.FramesOut = c.out.Stats()
	// A call that is not pending any more has been counted as failed or cancelled, if it was. Load the calls made last,
	// so that the differences are not negative.
	pending, inbound := c.pending.Load(), c.inbound.Load()
	s.CallsOut.Failed, s.CallsOut.Cancelled = n.failedOut.Load(), n.cancelledOut.Load()
	s.CallsOut.fit(pending, n.madeOut.Load())
	s.CallsIn.Failed, s.CallsIn.Cancelled = n.failedIn.Load(), n.cancelledIn.Load()
	s.CallsIn.fit(inbound, n.madeIn.Load())
	n.rejected.Lock()
	defer n.rejected.Unlock()
	maps.Copy(s.Refusals, n.rejected.counts)
	return s
}

// fit sets Made, Pending and Answered. Calls may begin or end between two loads, so it fits the parts to the sum.
func (k *Calls) fit(pending int64, made uint64) {
	k.Made = made
	k.Pending = int(max(0, min(pending, int64(made-k.Failed-k.Cancelled))))
	k.Answered = made - k.Failed - k.Cancelled - uint64(k.Pending)
}

// failPending counts the pending calls as failed, because the connection has ended.
func (k *Calls) failPending() {
	k.Failed += uint64(k.Pending)
	k.Pending = 0
}

func (k *Calls) add(other Calls) {
	k.Made += other.Made
	k.Answered += other.Answered
	k.Failed += other.Failed
	k.Cancelled += other.Cancelled
	k.Pending += other.Pending
}

func (s *Stats) add(other Stats) {
	s.CallsOut.add(other.CallsOut)
	s.CallsIn.add(other.CallsIn)
	s.BytesIn += other.BytesIn
	s.Collections += other.Collections
	s.BytesOut += other.BytesOut
	s.FramesIn += other.FramesIn
	s.FramesOut += other.FramesOut
	s.Exports += other.Exports
	s.Imports += other.Imports
	s.Relays += other.Relays
	s.Caches += other.Caches
	s.LocalCaches += other.LocalCaches
	s.Results += other.Results
	s.BytesWaiting += other.BytesWaiting
	s.BytesUnanswered += other.BytesUnanswered
	for r, count := range other.Refusals {
		s.Refusals[r] += count
	}
}

// registry holds a runtime's connections and the sums of those that have ended.
type registry struct {
	figures figures.Set

	mu sync.Mutex
	// Guarded by mu.
	live  map[*connection]struct{}
	last  uint64 // the number of the newest connection
	ended Stats
	conns ConnStats

	listeners map[*Listener]struct{} // whose acceptors have not stopped
}

type registryKey struct{}

func registryOf(rt *actor.Runtime) *registry {
	return rt.Extension(registryKey{}, func() any {
		return &registry{
			live:      map[*connection]struct{}{},
			listeners: map[*Listener]struct{}{},
			ended:     Stats{Refusals: map[Rejection]uint64{}},
			conns:     ConnStats{Closed: map[CloseReason]uint64{}},
		}
	}).(*registry)
}

func (x *registry) add(c *connection) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.live[c] = struct{}{}
	x.last++
	c.number.Store(x.last)
	if c.client {
		x.conns.Dialed++
	} else {
		x.conns.Accepted++
	}
}

func (x *registry) addListener(l *Listener) {
	x.mu.Lock()
	defer x.mu.Unlock()
	select {
	case <-l.gone: // The runtime closes.
	default:
		x.listeners[l] = struct{}{}
	}
}

func (x *registry) removeListener(l *Listener) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.listeners, l)
}

// all returns the connections that have not ended.
func (x *registry) all() []*connection {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Collect(maps.Keys(x.live))
}

// remove adds the figures of a connection that has ended to the sums. What the connection counts later is ignored.
func (x *registry) remove(c *connection) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, ok := x.live[c]; !ok {
		return
	}
	s := c.snapshot()
	s.CallsOut.failPending()
	s.CallsIn.failPending()
	s.Exports, s.Imports, s.Relays, s.Caches, s.LocalCaches = 0, 0, 0, 0, 0
	s.Results, s.BytesWaiting, s.BytesUnanswered = 0, 0, 0
	delete(x.live, c)
	c.metrics.final.Store(&s)
	x.ended.add(s)
	x.conns.Closed[closeReasonOf(context.Cause(c.ctx))]++
	if !c.wasOpened() {
		x.conns.Unopened++
	}
}

// perLock is how many connections are visited under the registry's lock at a time. Connections that begin or end
// meanwhile do not wait for all.
const perLock = 64

func (x *registry) stats(rt *actor.Runtime) RuntimeStats {
	x.mu.Lock()
	s := RuntimeStats{Stats: x.ended, Conns: x.conns, BytesHeld: int(budgetOf(rt).Held())}
	s.Refusals = maps.Clone(x.ended.Refusals)
	s.MethodsIn, s.MethodsOut = methodsOf(&x.figures.In), methodsOf(&x.figures.Out)
	s.Failures = failuresOf(&x.figures)
	s.Conns.Closed = maps.Clone(x.conns.Closed)
	live := slices.Collect(maps.Keys(x.live))
	x.mu.Unlock()
	for some := range slices.Chunk(live, perLock) {
		x.addLive(&s, some)
	}
	return s
}

// addLive adds the figures of connections that had not ended when the sums of the others were taken.
func (x *registry) addLive(s *RuntimeStats, live []*connection) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, c := range live {
		if final := c.metrics.final.Load(); final != nil {
			s.add(*final)
			s.Conns.Closed[closeReasonOf(context.Cause(c.ctx))]++
			if !c.wasOpened() {
				s.Conns.Unopened++
			}
			continue
		}
		s.add(c.snapshot())
		if c.wasOpened() {
			s.Conns.Open++
		} else {
			s.Conns.Opening++
		}
	}
}

// StatsOf returns the figures of all connections of rt, accepted and dialed.
func StatsOf(rt *actor.Runtime) RuntimeStats {
	if rt.Check() != nil {
		return RuntimeStats{}
	}
	return registryOf(rt).stats(rt)
}
