package flavors

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Turns is the methods that run for the peer of one connection at this moment, and the continuations that wait for
// their turn. A handle that is released while they run may be what one of them is about to return, as where a method
// defers the release: so the peer is told behind them. The zero value is ready for use. Package broker has one for each
// connection.
type Turns struct {
	handles atomic.Int64 // handles of the connection that have not been collected: without one there is nothing to release

	mu sync.Mutex
	// Guarded by mu.
	first *running
	late  []*held // handles that were released and may be in an answer that is still to come, oldest first
}

const (
	// longTurn is how long a release waits for methods that run.
	longTurn = time.Second
	// mostBehind is how many releases wait for one method, mostLate how many wait for the late answers of a connection.
	// The oldest is then told: the peer may hand out a bounded number of objects, 1,024 if it is a stock one, and counts
	// these until it is told.
	mostBehind, mostLate = 128, 256
)

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
	t.enterLocked(r)
}

// enterBehind enters a continuation. A method that runs now may have made it, of a result that has been released
// already.
func (t *Turns) enterBehind(r *running) {
	if t.handles.Load() == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for other := t.first; other != nil; other = other.next {
		for _, h := range other.behind {
			if h.waitForTurns(1) {
				r.behind = append(r.behind, h)
			}
		}
	}
	t.enterLocked(r)
}

func (t *Turns) enterLocked(r *running) {
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
	for _, oldest := range t.keepBehind(h) {
		oldest.turnOver()
	}
}

func (t *Turns) keepBehind(h *held) (tooMany []*held) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for r := t.first; r != nil; r = r.next {
		n++
	}
	if n == 0 || !h.waitForTurns(n) {
		return nil
	}
	for r := t.first; r != nil; r = r.next {
		if len(r.behind) == mostBehind {
			tooMany = append(tooMany, r.behind[0])
			r.behind = slices.Delete(r.behind, 0, 1)
		}
		r.behind = append(r.behind, h)
	}
	return tooMany
}

// releasedEarly notes a handle that was released while calls may still be answered with it.
func (t *Turns) releasedEarly(h *held) {
	t.mu.Lock()
	var oldest *held
	if len(t.late) == mostLate {
		oldest = t.late[0]
		t.late = slices.Delete(t.late, 0, 1)
	}
	t.late = append(t.late, h)
	t.mu.Unlock()
	if oldest != nil {
		oldest.tellNow()
	}
}

// waitForTurns notes n methods behind which a release is to be told. It reports false if the peer has been told
// already.
func (h *held) waitForTurns(n int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.told {
		return false
	}
	h.turns += n
	if h.late == nil {
		h.late = time.AfterFunc(longTurn, h.turnsOver)
	}
	return true
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
