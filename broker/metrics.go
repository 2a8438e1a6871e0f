package broker

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/perspectivebroker/pb/actor"
)

// counters is what [Stats] is taken from. On the path of a call there is one addition for the call and none for its
// answer: answered calls are what is left when the others are taken off.
type counters struct {
	madeOut, failedOut, cancelledOut atomic.Uint64
	madeIn, failedIn                 atomic.Uint64
	bytesIn, framesIn                atomic.Uint64
	collections                      atomic.Uint64
	// Lengths of the broker's tables, published by it whenever they change.
	imports, caches, local atomic.Int64

	refusals [reasons]atomic.Uint64
	final    atomic.Pointer[Stats] // at the end of the connection
}

// refused counts one refusal.
func (c *connection) refused(r Reason) {
	if r != NotRefused {
		c.counters.refusals[r].Add(1)
	}
}

func (c *connection) snapshot() Stats {
	n := &c.counters
	s := Stats{
		CallsOut:    Calls{Failed: n.failedOut.Load(), Cancelled: n.cancelledOut.Load()},
		CallsIn:     Calls{Failed: n.failedIn.Load()},
		Collections: n.collections.Load(),
		BytesIn:     n.bytesIn.Load(), BytesOut: uint64(c.bytesOut.Load()), FramesIn: n.framesIn.Load(),
		Exports: int(c.exported.Load()), Imports: int(n.imports.Load()),
		Caches: int(n.caches.Load()), LocalCaches: int(n.local.Load()),
		Refusals: map[Reason]uint64{},
	}
	s.BytesUnanswered = c.account.Unanswered().Wire
	s.BytesWaiting, s.FramesOut = c.out.Stats()
	// What began is read after what has ended, so that the difference is never negative.
	s.CallsOut.began(c.pending.Load(), n.madeOut.Load())
	s.CallsIn.began(c.inbound.Load(), n.madeIn.Load())
	for r := range n.refusals {
		if count := n.refusals[r].Load(); count > 0 {
			s.Refusals[Reason(r)] = count
		}
	}
	return s
}

// began fills in how many calls there were and how many have been answered. A call may have begun or ended between two
// readings, so the parts are fitted to the sum.
func (k *Calls) began(pending int64, made uint64) {
	k.Made = made
	k.Pending = int(max(0, min(pending, int64(made-k.Failed-k.Cancelled))))
	k.Answered = made - k.Failed - k.Cancelled - uint64(k.Pending)
}

// cut is the end of the connection for calls that are under way.
func (k *Calls) cut() {
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

// census is the connections of a runtime, and the sums of those that have ended.
type census struct {
	mu sync.Mutex
	// Guarded by mu.
	live  map[*connection]struct{}
	ended Stats
	conns ConnStats
}

// censusKey finds the runtime's census.
type censusKey struct{}

func censusOf(rt *actor.Runtime) *census {
	return rt.Extension(censusKey{}, func() any {
		return &census{
			live:  map[*connection]struct{}{},
			ended: Stats{Refusals: map[Reason]uint64{}},
			conns: ConnStats{Closed: map[Cause]uint64{}},
		}
	}).(*census)
}

// enter notes a connection until leave.
func (x *census) enter(c *connection) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.live[c] = struct{}{}
	if c.client {
		x.conns.Dialed++
	} else {
		x.conns.Accepted++
	}
}

// leave adds a connection that has ended to the sums. Nothing of it is under way any more, and later counts of it are
// not looked at.
func (x *census) leave(c *connection) {
	s := c.snapshot()
	s.CallsOut.cut()
	s.CallsIn.cut()
	s.Exports, s.Imports, s.Caches, s.LocalCaches, s.BytesWaiting, s.BytesUnanswered = 0, 0, 0, 0, 0, 0
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, ok := x.live[c]; !ok {
		return
	}
	delete(x.live, c)
	c.counters.final.Store(&s)
	x.ended.add(s)
	x.conns.Closed[causeOf(context.Cause(c.ctx))]++
	if !c.isReady() {
		x.conns.Unopened++
	}
}

func (x *census) stats(rt *actor.Runtime) RuntimeStats {
	x.mu.Lock()
	defer x.mu.Unlock()
	s := RuntimeStats{Stats: x.ended, Conns: x.conns, BytesHeld: int(budgetOf(rt).Held())}
	s.Refusals = maps.Clone(x.ended.Refusals)
	s.Conns.Closed = maps.Clone(x.conns.Closed)
	for c := range x.live {
		s.add(c.snapshot())
		if c.isReady() {
			s.Conns.Open++
		} else {
			s.Conns.Opening++
		}
	}
	return s
}
