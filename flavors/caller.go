package flavors

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"weak"

	"github.com/perspectivebroker/pb/internal/seam"
)

var errCallDropped = ErrLoggedOut.New("the user has logged out: the call was dropped")

// peerCaller makes the calls of a peer: a connection, or one user who has logged in over it. When it ends, calls
// that have not begun are dropped, and no more begin. It implements seam.Caller.
type peerCaller struct {
	conn   seam.Conn
	ctx    context.Context
	cancel context.CancelCauseFunc // nil for a connection, whose context ends by itself

	state atomic.Int64  // how many calls are being carried out, and callerOver
	idle  chan struct{} // closed once it has ended and no call is being carried out

	passing *passing // of the connection

	mu sync.Mutex
	// Guarded by mu.
	cores   []weak.Pointer[objectCore] // where calls may wait; some are there twice, or gone
	pruneAt int                        // how many of them there may be until they are looked through
	late    lateContexts
	lines   []*pair // where calls wait to be passed on; some wait no more
}

// callerOver is set in the state of a caller that has ended.
const callerOver = 1 << 62

// fewestCores is how many objects a caller remembers before it looks for those that are gone.
const fewestCores = 64

// newCaller makes the Caller that a connection itself is. Package broker calls it.
func newCaller(conn seam.Conn) *peerCaller {
	return &peerCaller{
		conn: conn, ctx: conn.Context(), idle: make(chan struct{}), pruneAt: fewestCores, passing: &passing{conn: conn},
	}
}

// newUser makes the Caller of a user who has logged in over a connection. Package broker calls it.
func newUser(conn seam.Conn) *peerCaller {
	c := newCaller(conn)
	c.passing = passingOf(conn)
	c.ctx, c.cancel = context.WithCancelCause(conn.Context())
	return c
}

// Reaches implements seam.Caller.
func (c *peerCaller) Reaches(object seam.Core) {
	core, ok := object.(*objectCore)
	if !ok {
		return // No call waits for its turn: see pair.
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cores = append(c.cores, weak.Make(core))
	if len(c.cores) < c.pruneAt {
		return
	}
	seen := make(map[weak.Pointer[objectCore]]struct{}, len(c.cores))
	kept := c.cores[:0]
	for _, p := range c.cores {
		if _, twice := seen[p]; !twice && p.Value() != nil {
			seen[p] = struct{}{}
			kept = append(kept, p)
		}
	}
	clear(c.cores[len(kept):])
	c.cores = kept
	c.pruneAt = max(fewestCores, 2*len(kept))
}

// reached returns the objects for which calls may wait.
func (c *peerCaller) reached() []*objectCore {
	c.mu.Lock()
	defer c.mu.Unlock()
	cores := make([]*objectCore, 0, len(c.cores))
	for _, p := range c.cores {
		if core := p.Value(); core != nil {
			cores = append(cores, core)
		}
	}
	return cores
}

// IsBusy implements seam.Caller.
func (c *peerCaller) IsBusy() bool {
	if c.state.Load()&^callerOver != 0 {
		return true
	}
	for _, core := range c.reached() {
		if core.waitsFor(c) {
			return true
		}
	}
	return false
}

// End implements seam.Caller. Each dropped call that wants an answer gets one error, if the connection lives.
func (c *peerCaller) End() {
	before := c.state.Or(callerOver)
	if before == 0 {
		close(c.idle)
	}
	if c.cancel != nil {
		c.cancel(errCallDropped)
	}
	for _, core := range c.reached() {
		for _, call := range core.dropCalls(c) {
			call.dropped()
		}
	}
	for _, line := range c.takeLines() {
		for _, inv := range line.takeOf(c) {
			inv.dropped()
		}
	}
	if c.cancel == nil {
		c.passing.end()
	}
}

// IsOver implements seam.Caller. A nil caller never ends.
func (c *peerCaller) IsOver() bool { return c != nil && c.state.Load()&callerOver != 0 }

// Idle implements seam.Caller.
func (c *peerCaller) Idle() <-chan struct{} { return c.idle }

// enter counts a call that begins, and reports whether it may. A nil caller never ends.
func (c *peerCaller) enter() bool {
	if c == nil {
		return true
	}
	for {
		n := c.state.Load()
		if n&callerOver != 0 {
			return false
		}
		if c.state.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// leave counts a call whose method has returned.
func (c *peerCaller) leave() {
	if c != nil && c.state.Add(-1) == callerOver {
		close(c.idle)
	}
}

// waitingCall is a call in an object's queue: an *[Invocation].
type waitingCall interface {
	isOf(caller *peerCaller) bool
	// dropped ends a call that will not begin.
	dropped()
}

// dropCalls removes and returns the waiting calls of a caller, including parked ones. The caller has ended, so no more
// calls come.
func (c *objectCore) dropCalls(caller *peerCaller) (dropped []waitingCall) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.active
	if c.state != coreRunning || a == nil {
		return nil
	}
	belongs := func(message any) bool {
		call, ok := message.(waitingCall)
		if !ok || !call.isOf(caller) {
			return false
		}
		dropped = append(dropped, call)
		return true
	}
	c.removeLocked(c.parkedLocked(caller.conn), belongs)
	c.removedLocked(len(dropped))
	return dropped
}

// removeLocked takes messages out of the queue, and of the parked ones of a connection if there are any.
func (c *objectCore) removeLocked(p *parking, match func(message any) bool) {
	if p != nil {
		p.waiting = slices.DeleteFunc(p.waiting, match)
		if len(p.waiting) == 0 {
			delete(c.active.rare.parked, p.conn)
		}
	}
	c.active.queue.remove(match)
}

// removedLocked notes that messages were removed, with which the actor may have nothing to do any more.
func (c *objectCore) removedLocked(n int) {
	c.active.inFlight -= int32(n)
	if n > 0 && c.active.inFlight == 0 && c.holders == 0 && !c.owned {
		c.postLocked(checkIdle{})
	}
}

// waitsFor reports whether a call of the caller is in the queue.
func (c *objectCore) waitsFor(caller *peerCaller) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.active != nil && c.active.queue.has(func(message any) bool {
		call, ok := message.(waitingCall)
		return ok && call.isOf(caller)
	})
}
