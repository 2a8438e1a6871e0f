package seam

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Turns is the methods that run for one connection's peer, and the continuations that wait for their turn. A method may
// return a handle that is released while it runs, for example by a deferred Release. So the peer is told of a release
// when the methods that ran then have returned. The zero value is ready for use.
type Turns struct {
	handles atomic.Int64 // handles of the connection that have not been collected: without one nothing can be released

	mu sync.Mutex
	// Guarded by mu.
	first *Turn
	late  []*Refcount // released handles that may be part of an answer still to come, oldest first
}

const (
	// longTurn is the longest time for which a release waits for methods.
	longTurn = time.Second
	// mostBehind is how many releases wait for one method, mostLate how many wait for the late answers of a connection.
	// Beyond that the oldest is told. The peer may hand out a bounded number of objects, 1,024 if it is a stock one, and
	// counts these until it is told.
	mostBehind, mostLate = 128, 256
)

// Turn is an entry of Turns.
type Turn struct {
	prev, next *Turn
	entered    atomic.Bool // written under the lock
	behind     []*Refcount // handles that were released meanwhile
}

// Enter adds the turn of a method that is about to run.
func (t *Turns) Enter(r *Turn) {
	if t.handles.Load() == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.enterLocked(r)
}

// EnterBehind adds the turn of a continuation. A method that runs now may have made the continuation, from a result
// that has been released already.
func (t *Turns) EnterBehind(r *Turn) {
	if t.handles.Load() == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for other := t.first; other != nil; other = other.next {
		for _, c := range other.behind {
			if c.waitForTurns(1) {
				r.behind = append(r.behind, c)
			}
		}
	}
	t.enterLocked(r)
}

func (t *Turns) enterLocked(r *Turn) {
	r.entered.Store(true)
	r.prev, r.next = nil, t.first
	if t.first != nil {
		t.first.prev = r
	}
	t.first = r
}

// Leave takes out a turn, if it was entered.
func (t *Turns) Leave(r *Turn) {
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
	for _, c := range behind {
		c.turnsOver(1)
	}
}

// keep makes a release that is about to happen wait for the methods that run now.
func (t *Turns) keep(c *Refcount) {
	for _, oldest := range t.keepBehind(c) {
		oldest.turnsOver(1)
	}
}

func (t *Turns) keepBehind(c *Refcount) (tooMany []*Refcount) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for r := t.first; r != nil; r = r.next {
		n++
	}
	if n == 0 || !c.waitForTurns(n) {
		return nil
	}
	for r := t.first; r != nil; r = r.next {
		if len(r.behind) == mostBehind {
			tooMany = append(tooMany, r.behind[0])
			r.behind = slices.Delete(r.behind, 0, 1)
		}
		r.behind = append(r.behind, c)
	}
	return tooMany
}

// releasedEarly notes a handle that was released while calls may be answered with it.
func (t *Turns) releasedEarly(c *Refcount) {
	t.mu.Lock()
	var oldest *Refcount
	if len(t.late) == mostLate {
		oldest = t.late[0]
		t.late = slices.Delete(t.late, 0, 1)
	}
	t.late = append(t.late, c)
	t.mu.Unlock()
	if oldest != nil {
		oldest.tellNow()
	}
}
