package broker

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/perspectivebroker/pb/actor"
)

// metrics are the figures behind [Stats]. A call costs one addition and its answer none: the number of answered calls
// is what remains when the others are subtracted.
type metrics struct {
	madeOut, failedOut, cancelledOut atomic.Uint64
	madeIn, failedIn                 atomic.Uint64
	bytesIn, framesIn                atomic.Uint64
	collections                      atomic.Uint64
	imports, caches, local           atomic.Int64 // lengths of the broker's tables

	rejected struct {
		sync.Mutex
		counts map[Rejection]uint64
	}
	final atomic.Pointer[Stats] // set when the connection has ended
}

// countRejection counts one rejection; "" is none.
func (c *connection) countRejection(r Rejection) {
	if r == "" {
		return
	}
	n := &c.metrics.rejected
	n.Lock()
	defer n.Unlock()
	if n.counts == nil {
		n.counts = map[Rejection]uint64{}
	}
	n.counts[r]++
}

func (c *connection) snapshot() Stats {
	n := &c.metrics
	s := Stats{
		CallsOut:    Calls{Failed: n.failedOut.Load(), Cancelled: n.cancelledOut.Load()},
		CallsIn:     Calls{Failed: n.failedIn.Load()},
		Collections: n.collections.Load(),
		BytesIn:     n.bytesIn.Load(), BytesOut: uint64(c.bytesOut.Load()), FramesIn: n.framesIn.Load(),
		Exports: int(c.exported.Load()), Imports: int(n.imports.Load()),
		Caches: int(n.caches.Load()), LocalCaches: int(n.local.Load()),
		Refusals: map[Rejection]uint64{},
	}
	s.BytesUnanswered = c.account.Unanswered().Wire
	s.BytesWaiting, s.FramesOut = c.out.Stats()
	// Load the calls made last, so that the differences are not negative.
	s.CallsOut.fit(c.pending.Load(), n.madeOut.Load())
	s.CallsIn.fit(c.inbound.Load(), n.madeIn.Load())
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
	s.Caches += other.Caches
	s.LocalCaches += other.LocalCaches
	s.BytesWaiting += other.BytesWaiting
	s.BytesUnanswered += other.BytesUnanswered
	for r, count := range other.Refusals {
		s.Refusals[r] += count
	}
}

// registry holds a runtime's connections and the sums of those that have ended.
type registry struct {
	mu sync.Mutex
	// Guarded by mu.
	live  map[*connection]struct{}
	ended Stats
	conns ConnStats
}

type registryKey struct{}

func registryOf(rt *actor.Runtime) *registry {
	return rt.Extension(registryKey{}, func() any {
		return &registry{
			live:  map[*connection]struct{}{},
			ended: Stats{Refusals: map[Rejection]uint64{}},
			conns: ConnStats{Closed: map[CloseReason]uint64{}},
		}
	}).(*registry)
}

func (x *registry) add(c *connection) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.live[c] = struct{}{}
	if c.client {
		x.conns.Dialed++
	} else {
		x.conns.Accepted++
	}
}

// remove adds the figures of a connection that has ended to the sums. What the connection counts later is ignored.
func (x *registry) remove(c *connection) {
	s := c.snapshot()
	s.CallsOut.failPending()
	s.CallsIn.failPending()
	s.Exports, s.Imports, s.Caches, s.LocalCaches, s.BytesWaiting, s.BytesUnanswered = 0, 0, 0, 0, 0, 0
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, ok := x.live[c]; !ok {
		return
	}
	delete(x.live, c)
	c.metrics.final.Store(&s)
	x.ended.add(s)
	x.conns.Closed[closeReasonOf(context.Cause(c.ctx))]++
	if !c.wasOpened() {
		x.conns.Unopened++
	}
}

func (x *registry) stats(rt *actor.Runtime) RuntimeStats {
	x.mu.Lock()
	defer x.mu.Unlock()
	s := RuntimeStats{Stats: x.ended, Conns: x.conns, BytesHeld: int(budgetOf(rt).Held())}
	s.Refusals = maps.Clone(x.ended.Refusals)
	s.Conns.Closed = maps.Clone(x.conns.Closed)
	for c := range x.live {
		s.add(c.snapshot())
		if c.wasOpened() {
			s.Conns.Open++
		} else {
			s.Conns.Opening++
		}
	}
	return s
}
