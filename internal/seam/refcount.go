package seam

import (
	"sync"
	"sync/atomic"
	"time"
)

// Refcount counts what keeps a handle's remote object alive: receipts, holds of relays to the object, and the actors
// that are linked to the handle. A handle is released when its last receipt has been given back and nothing holds it.
// The peer is told only when no earlier message that mentions the handle waits to be written: a [decref n] in front of
// a [local n] would leave the mention without an object.
type Refcount struct {
	returner Returner // immutable

	mu sync.Mutex
	// Guarded by mu.
	receipts int
	holds    int
	links    int
	counted  int  // mentions that the peer has counted and not been told of; at least one until the handle is released
	uses     int  // messages that mention the handle and are not written yet
	waits    int  // calls that may be answered with the handle
	turns    int  // methods that ran when the handle was released, see Turns
	told     bool // the peer has been told of the last receipt: no message may mention the handle any more

	late      *time.Timer // ends the wait for turns
	released  atomic.Bool // written under mu; every call reads it
	collected atomic.Bool // the garbage collector has found the handle
}

// Returner returns receipts to the peer.
type Returner interface{ ReturnReceipts(n int) }

// Init prepares the count of a new handle, with one receipt. Turns are those of the handle's connection.
func (c *Refcount) Init(turns *Turns, r Returner) {
	c.returner, c.receipts, c.counted = r, 1, 1
	turns.handles.Add(1)
}

// Receive adds a receipt. It reports false if the handle has been released: then a new handle is needed.
func (c *Refcount) Receive() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.released.Load() {
		return false
	}
	c.receipts++
	c.counted++
	return true
}

// Share adds a receipt that the peer has not counted: this side gives the handle to one more of its users. It reports
// false if the peer has been told of the release already.
func (c *Refcount) Share() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.told {
		return false
	}
	c.receipts++
	c.released.Store(false)
	return true
}

// Hold keeps the handle from being released, whoever gives back its receipts. It reports false if the peer has been
// told of the release already.
func (c *Refcount) Hold() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.told {
		return false
	}
	c.holds++
	c.released.Store(false)
	return true
}

// Unhold undoes a Hold. It reports whether that has released the handle.
func (c *Refcount) Unhold(turns *Turns) (last bool) { return c.giveBack(turns, unheld) }

// Release gives back one receipt. It reports whether that has released the handle.
func (c *Refcount) Release(turns *Turns) (last bool) { return c.giveBack(turns, oneReceipt) }

// ReleaseAll gives back all receipts. It reports whether that has released the handle.
func (c *Refcount) ReleaseAll(turns *Turns) (last bool) { return c.giveBack(turns, allReceipts) }

// Link notes that one more actor is linked to the handle.
func (c *Refcount) Link() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.links++
}

// Unlink ends a link. The last one releases the handle, which Unlink reports.
func (c *Refcount) Unlink(turns *Turns) (last bool) { return c.giveBack(turns, unlinked) }

func oneReceipt(c *Refcount) int  { return min(1, c.receipts) }
func allReceipts(c *Refcount) int { return c.receipts }

func unheld(c *Refcount) int {
	c.holds--
	return 0
}

func unlinked(c *Refcount) int {
	c.links--
	if c.links > 0 {
		return 0
	}
	return c.receipts
}

// giveBack releases receipts for an owner that may still send the handle: methods that run, and calls that have no
// answer yet, keep it.
func (c *Refcount) giveBack(turns *Turns, howMany func(*Refcount) int) (last bool) {
	turns.keep(c)
	last = c.giveBackNow(howMany)
	if last && c.mayBeAnswer() {
		turns.releasedEarly(c)
	}
	return last
}

// giveBackNow calls howMany under the lock.
func (c *Refcount) giveBackNow(howMany func(*Refcount) int) (last bool) {
	c.mu.Lock()
	if c.released.Load() {
		c.mu.Unlock()
		return false
	}
	n := howMany(c)
	c.receipts -= n
	if last = c.receipts <= 0 && c.holds <= 0; last {
		c.released.Store(true)
		n = c.dueLocked()
	} else {
		n = min(n, c.counted-1)
		c.counted -= n
	}
	c.mu.Unlock()
	c.tell(n)
	return last
}

// mayBeAnswer reports whether the handle was released while calls may be answered with it.
func (c *Refcount) mayBeAnswer() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.released.Load() && !c.told && c.waits > 0
}

// tellNow ends the wait for calls that may be answered with the handle.
func (c *Refcount) tellNow() {
	c.mu.Lock()
	c.waits, c.turns = 0, 0
	n := c.dueLocked()
	c.mu.Unlock()
	c.tell(n)
}

// Collected releases a handle that has been garbage collected: only a call that is not written yet can mention it. It
// reports whether that has released the handle. Further calls do nothing.
func (c *Refcount) Collected(turns *Turns) (last bool) {
	if !c.collected.CompareAndSwap(false, true) {
		return false
	}
	turns.handles.Add(-1)
	last = c.giveBackNow(allReceipts)
	c.tellNow()
	return last
}

// Use notes that a message which is not written yet mentions the handle. It reports false if the peer has been told of
// the release already.
func (c *Refcount) Use() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.told {
		return false
	}
	c.uses++
	return true
}

// Unuse ends a use: the message has been written, or will not be.
func (c *Refcount) Unuse() {
	c.mu.Lock()
	c.uses--
	n := c.dueLocked()
	c.mu.Unlock()
	c.tell(n)
}

// AwaitAnswer notes a call that may be answered with the handle.
func (c *Refcount) AwaitAnswer() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waits++
}

// Answered undoes AwaitAnswer.
func (c *Refcount) Answered() {
	c.mu.Lock()
	n := 0
	if c.waits > 0 { // otherwise the handle was collected meanwhile
		c.waits--
		n = c.dueLocked()
	}
	c.mu.Unlock()
	c.tell(n)
}

// IsReleased reports whether the last receipt has been given back.
func (c *Refcount) IsReleased() bool { return c.released.Load() }

// dueLocked returns how many receipts the peer is to be told of now.
func (c *Refcount) dueLocked() (receipts int) {
	if !c.released.Load() || c.told || c.uses > 0 || c.waits > 0 || c.turns > 0 {
		return 0
	}
	c.told = true
	if c.late != nil {
		c.late.Stop()
		c.late = nil
	}
	receipts, c.counted = c.counted, 0
	return receipts
}

func (c *Refcount) tell(receipts int) {
	if receipts > 0 {
		c.returner.ReturnReceipts(receipts)
	}
}

// waitForTurns notes n methods that must return before the peer is told of the release. It reports false if the peer
// has been told already.
func (c *Refcount) waitForTurns(n int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.told {
		return false
	}
	c.turns += n
	if c.late == nil {
		c.late = time.AfterFunc(longTurn, func() { c.turnsOver(-1) })
	}
	return true
}

// turnsOver takes off n methods, all if n is negative: they have returned, or took too long.
func (c *Refcount) turnsOver(n int) {
	c.mu.Lock()
	due := 0
	if c.turns > 0 { // otherwise they took too long, or the handle was collected
		if n < 0 || n > c.turns {
			n = c.turns
		}
		if c.turns -= n; c.turns == 0 && c.late != nil {
			c.late.Stop()
			c.late = nil
		}
		due = c.dueLocked()
	}
	c.mu.Unlock()
	c.tell(due)
}
