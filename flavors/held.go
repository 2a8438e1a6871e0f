package flavors

import (
	"sync"
	"sync/atomic"
	"time"
)

// held counts what the peer has counted for a handle of ours: how often it was received, and how many actors link it. A
// handle is released when its owner has given back the last receipt. The peer is told of that only when nothing that
// was handed over before mentions the handle any more: a [decref n] that goes out before a [local n] would leave the
// mention without an object.
type held struct {
	owner teller // immutable

	mu sync.Mutex
	// Guarded by mu.
	receipts int
	links    int
	owed     int  // receipts of a released handle that the peer has not been told of
	uses     int  // messages that mention the handle and are not written yet
	waits    int  // calls that may still be answered with the handle, though its owner has released it
	turns    int  // methods during which the owner has released the handle, see Turns
	told     bool // the peer has been told of the last receipt: no message may mention the handle any more

	late      *time.Timer // ends the wait for turns
	released  atomic.Bool // written under mu; every call looks at it
	forgotten atomic.Bool // the handle has been collected, and what was left of it given back
}

// teller returns receipts to the peer.
type teller interface{ tell(receipts int) }

// received notes one more receipt; false means that the handle has been released meanwhile, and a new one is due.
func (h *held) received() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.released.Load() {
		return false
	}
	h.receipts++
	return true
}

// giveBack returns receipts to the peer, now or when nothing mentions the handle any more. The function runs under the
// lock. It reports whether this has released the handle.
func (h *held) giveBack(howMany func(*held) int) (dead bool) {
	h.mu.Lock()
	if h.released.Load() {
		h.mu.Unlock()
		return false
	}
	n := howMany(h)
	h.receipts -= n
	if dead = h.receipts <= 0; dead {
		h.released.Store(true)
		h.owed = n
		n = h.dueLocked()
	}
	h.mu.Unlock()
	h.tell(n)
	return dead
}

// letGoOf is giveBack for an owner that may still hand the handle over: what it has begun to answer keeps the handle.
func (h *held) letGoOf(turns *Turns, howMany func(*held) int) (dead bool) {
	turns.keep(h)
	dead = h.giveBack(howMany)
	if dead && h.isEarly() {
		turns.releasedEarly(h)
	}
	return dead
}

// isEarly says that the handle was released while calls may still be answered with it.
func (h *held) isEarly() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.released.Load() && !h.told && h.waits > 0
}

// tellNow ends the wait for calls that may be answered with the handle.
func (h *held) tellNow() {
	h.mu.Lock()
	h.waits, h.turns = 0, 0
	n := h.dueLocked()
	h.mu.Unlock()
	h.tell(n)
}

// collected is called when the handle has been collected: nothing can mention it any more, except a call to it that is
// not written yet.
func (h *held) collected() (dead bool) {
	dead = h.giveBack(allReceipts)
	h.tellNow()
	return dead
}

// use notes that a message which is not written yet mentions the handle. It reports false if the peer has been told
// already that the handle was released.
func (h *held) use() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.told {
		return false
	}
	h.uses++
	return true
}

// done undoes one use: the message has been written, or never will be.
func (h *held) done() {
	h.mu.Lock()
	h.uses--
	n := h.dueLocked()
	h.mu.Unlock()
	h.tell(n)
}

// wait notes a call that may be answered with the handle, answered undoes it.
func (h *held) wait() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waits++
}

func (h *held) answered() {
	h.mu.Lock()
	n := 0
	if h.waits > 0 { // otherwise the handle was collected meanwhile
		h.waits--
		n = h.dueLocked()
	}
	h.mu.Unlock()
	h.tell(n)
}

// dueLocked is how many receipts the peer is to be told of now.
func (h *held) dueLocked() (receipts int) {
	if !h.released.Load() || h.told || h.uses > 0 || h.waits > 0 || h.turns > 0 {
		return 0
	}
	h.told = true
	if h.late != nil {
		h.late.Stop()
		h.late = nil
	}
	receipts, h.owed = h.owed, 0
	return receipts
}

func (h *held) tell(receipts int) {
	if receipts > 0 {
		h.owner.tell(receipts)
	}
}

func (h *held) isReleased() bool { return h.released.Load() }

func (h *held) link() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.links++
}

// What giveBack is asked for.
func oneReceipt(*held) int    { return 1 }
func allReceipts(h *held) int { return h.receipts }

// unlinked is the end of one link: the last one lets everything go.
func unlinked(h *held) int {
	h.links--
	if h.links > 0 {
		return 0
	}
	return h.receipts
}
