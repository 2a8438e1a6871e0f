package flavors

import (
	"sync"
	"sync/atomic"
	"time"
)

// Turns is the methods that run for the peer of one connection at this moment, and the continuations that wait for their turn. A handle
// that is released while they run may be what one of them is about to return, as where a method defers the release: so the peer is told
// behind them. The zero value is ready for use. Package broker has one for each connection.
type Turns struct {
	handles atomic.Int64 // handles of the connection that have not been collected: without one there is nothing to release

	mu sync.Mutex
	// Guarded by mu.
	first *running
}

// longTurn is how long a release waits for methods that run. What they return after that does not keep what was released before.
const longTurn = time.Second

// running is an entry of Turns.
type running struct {
	prev, next *running
	entered    atomic.Bool // written under the lock
	behind     []*held     // handles that were released meanwhile
}

func (t *Turns) enter(r *running) {
	if t.handles.Load() == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	r.entered.Store(true)
	r.prev, r.next = nil, t.first
	if t.first != nil {
		t.first.prev = r
	}
	t.first = r
}

// leave takes an entry out again, if it is there.
func (t *Turns) leave(r *running) {
	if !r.entered.Load() {
		return
	}
	t.mu.Lock()
	if !r.entered.Load() {
		t.mu.Unlock()
		return
	}
	if r.prev != nil {
		r.prev.next = r.next
	} else {
		t.first = r.next
	}
	if r.next != nil {
		r.next.prev = r.prev
	}
	behind := r.behind
	r.prev, r.next, r.behind = nil, nil, nil
	r.entered.Store(false)
	t.mu.Unlock()
	for _, h := range behind {
		h.turnOver()
	}
}

// keep has the peer told of a handle's release, which is about to happen, behind what runs now.
func (t *Turns) keep(h *held) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for r := t.first; r != nil; r = r.next {
		r.behind = append(r.behind, h)
		n++
	}
	if n > 0 {
		h.waitForTurns(n)
	}
}

// waitForTurns notes n methods behind which a release is to be told.
func (h *held) waitForTurns(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.released.Load() {
		return
	}
	h.turns += n
	if h.late == nil {
		h.late = time.AfterFunc(longTurn, h.turnsOver)
	}
}

// turnOver is the end of one of these methods, turnsOver is for when they take too long.
func (h *held) turnOver()  { h.lessTurns(1) }
func (h *held) turnsOver() { h.lessTurns(-1) }

// lessTurns takes n of them off, all if n is negative.
func (h *held) lessTurns(n int) {
	h.mu.Lock()
	due := 0
	if h.turns > 0 { // otherwise they took too long, or the handle was collected
		if n < 0 || n > h.turns {
			n = h.turns
		}
		if h.turns -= n; h.turns == 0 && h.late != nil {
			h.late.Stop()
			h.late = nil
		}
		due = h.dueLocked()
	}
	h.mu.Unlock()
	h.tell(due)
}

// Handle is a handle that came from the peer: a *RemoteReference or a *Cached.
type Handle interface {
	Linkable
	Release()
	count() *held
}

func (r *RemoteReference) count() *held { return &r.remote.held }
func (c *Cached[T]) count() *held       { return &c.cache.held }
