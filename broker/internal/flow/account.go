package flow

import (
	"container/list"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perspectivebroker/pb/broker/internal/patience"
)

// Limits are the limits of a connection that depend on what it and its runtime hold.
type Limits struct {
	MemoryTotal     int // bytes that all connections of the runtime may hold
	Strangers       int // connections without a login
	Imports         int // references to the peer's objects
	BytesIn         int // bytes of the peer's unanswered calls on the wire
	WriteHighWater  int // bytes waiting to be written before our own calls wait or fail
	MaxWriteBacklog int // bytes waiting to be written before the peer's calls are held back
}

// Account counts what one connection holds of its runtime's [Budget].
//
// A message that the peer sends is charged from the scanner's price before it is decoded ([Account.Take]), and counted
// in a [Batch]. It is returned by [Account.Answered] if it is a call, by [Account.CarriedOut] if it is not.
type Account struct {
	budget   *Budget
	limits   Limits
	drop     func(why string) // ends the connection
	stranger atomic.Bool      // changed under mu
	backlog  atomic.Int64     // memory of the messages handed to the broker and not carried out
	eased    chan struct{}    // receives a token when a call was answered; buffered

	ahead    int  // taken for what comes next in the same read; for the reader only
	admitted Cost // of all calls that the broker has looked at; for the broker's turn only
	returned Cost // what answered was when it was last looked at; for the broker's turn only

	mu sync.Mutex
	// Guarded by mu.
	held     int64
	kept     int64 // the part of held that has limits of its own: table entries, read buffers
	handed   Cost  // of all calls of the peer that were handed to the broker
	answered Cost  // of all that were answered
	closed   bool

	place *list.Element // among the strangers, or nil; guarded by the budget's mutex
}

// Cost is what a message from the peer counts for.
type Cost struct {
	Wire   int // bytes of its frame, which Limits.BytesIn bounds
	Memory int // bytes that it takes once decoded, at most, which Limits.MemoryTotal bounds
}

func (c *Cost) add(d Cost)       { c.Wire += d.Wire; c.Memory += d.Memory }
func (c Cost) minus(d Cost) Cost { return Cost{c.Wire - d.Wire, c.Memory - d.Memory} }

// NewAccount returns the account of a new connection, which is a user's until [Account.MarkStranger]. To free memory
// for others, drop ends the connection of a stranger.
func (b *Budget) NewAccount(limits Limits, drop func(why string)) *Account {
	b.conns.Add(1)
	return &Account{budget: b, limits: limits, drop: drop, eased: make(chan struct{}, 1)}
}

// Close returns everything that the account holds.
func (a *Account) Close() {
	a.budget.remove(a)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	a.addLocked(-a.held)
	a.closed = true
	a.budget.conns.Add(-1)
}

// MarkStranger makes the connection a stranger's until [Account.MarkUser]. If there are too many, it drops the oldest.
func (a *Account) MarkStranger() {
	b := a.budget
	b.logins.Store(true)
	b.mu.Lock()
	if !a.move(true) {
		b.mu.Unlock()
		return
	}
	a.place = b.waiting.PushBack(a)
	var oldest *Account
	if b.waiting.Len() > a.limits.Strangers {
		oldest = b.removeOldestLocked()
	}
	b.mu.Unlock()
	if oldest != nil {
		oldest.drop(fmt.Sprintf(
			"%d connections wait for a login, as many as Limits.Strangers allows, and this one has waited longest",
			a.limits.Strangers,
		))
	}
}

// MarkUser makes the connection a user's.
func (a *Account) MarkUser() {
	a.budget.remove(a)
	if a.stranger.Load() {
		a.move(false)
	}
}

// move moves what the account holds between the parts of strangers and of users. It reports false if the account is
// closed.
func (a *Account) move(stranger bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	held := a.held
	a.addLocked(-held)
	a.stranger.Store(stranger)
	a.addLocked(held)
	return !a.closed
}

// strangersPart is how many bytes all strangers may hold.
func (a *Account) strangersPart() int64 {
	return max(int64(a.limits.MemoryTotal/strangersFraction), minStrangersPart)
}

// usersPart is how many bytes all others may hold.
func (a *Account) usersPart() int64 {
	if a.budget.logins.Load() {
		return max(0, int64(a.limits.MemoryTotal)-a.strangersPart())
	}
	return int64(a.limits.MemoryTotal)
}

// crowded reports whether the connections that share the account's part of the total hold too much.
func (a *Account) crowded() bool {
	if a.stranger.Load() {
		return a.budget.strangers.Load() > a.strangersPart()
	}
	return a.budget.users.Load() > a.usersPart()
}

// Add counts n more bytes, or fewer, whether or not there is room.
func (a *Account) Add(n int) {
	if n == 0 {
		return
	}
	a.mu.Lock()
	a.addLocked(int64(n))
	a.mu.Unlock()
}

func (a *Account) addLocked(n int64) {
	if a.closed {
		return
	}
	a.held += n
	if a.stranger.Load() {
		a.budget.strangers.Add(n)
	} else {
		a.budget.users.Add(n)
	}
}

// Keep is Add for what does not use up the connection's share: table entries and buffers.
func (a *Account) Keep(n int) {
	if n == 0 {
		return
	}
	a.mu.Lock()
	a.kept += int64(n)
	a.addLocked(int64(n))
	a.mu.Unlock()
}

// Take counts n bytes that are about to be allocated, and reports whether there is room for them.
func (a *Account) Take(n int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.addLocked(int64(n))
	if a.fitsLocked(a.held - a.kept) {
		return true
	}
	a.addLocked(int64(-n))
	return false
}

// maxAhead is the most memory that is taken for the frames behind one, before they are found.
const maxAhead = 16 << 10

// TakeFrame is Take for n bytes of memory for a frame of size bytes, one of several that the reader has read at once,
// which are behind bytes. Those are likely to be alike, so it takes memory for them too, if there is room, so that they
// need no lock. HandOver returns what is left of it. Only the reader's goroutine may call it.
func (a *Account) TakeFrame(n, size, behind int) bool {
	if n <= a.ahead {
		a.ahead -= n
		return true
	}
	ahead := min(n*(behind/size), maxAhead)
	if ahead == 0 || !a.Take(n+ahead) {
		return a.Take(n)
	}
	a.ahead += ahead
	return true
}

// grow is Take for a buffer that grows by n bytes to size. Buffers have a share of their own.
func (a *Account) grow(n, size int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.addLocked(int64(n))
	if a.fitsLocked(int64(size)) {
		a.kept += int64(n)
		return true
	}
	a.addLocked(int64(-n))
	return false
}

// fitsLocked reports whether there is room for what is counted, ofShare bytes of which count against the share.
func (a *Account) fitsLocked(ofShare int64) bool {
	if a.stranger.Load() {
		return a.budget.strangers.Load() <= a.strangersPart() || ofShare <= strangerShare
	}
	return a.closed || a.budget.users.Load() <= a.usersPart() || ofShare <= a.budget.share()
}

// couldFit reports whether there would be room for n bytes if other connections held nothing.
func (a *Account) couldFit(n int) bool {
	if a.stranger.Load() {
		return int64(n) <= a.strangersPart()
	}
	return int64(n) <= max(a.usersPart(), a.budget.share())
}

// roomInterval is how often room is looked for, since other connections free it.
const roomInterval = 20 * time.Millisecond

// MaxRoomWait is the longest that reading pauses for room to decode a call.
const MaxRoomWait = 2 * time.Second

// RoomWait returns how long reading pauses for room for a call of n bytes before the call is refused. A small call
// waits for room in the connection's own share.
func (a *Account) RoomWait(n int) time.Duration {
	if int64(n) <= a.budget.share() {
		return easeTime
	}
	return MaxRoomWait
}

// TakeWait is Take that waits for room.
func (a *Account) TakeWait(ctx context.Context, n int, within time.Duration) bool {
	return a.waitRoom(ctx, n, within, func() bool { return a.Take(n) })
}

// waitRoom repeats take until it succeeds, at first after roomInterval. It drops strangers to make room for a stranger.
func (a *Account) waitRoom(ctx context.Context, n int, within time.Duration, take func() bool) bool {
	if !a.couldFit(n) {
		return false
	}
	over := make(chan struct{})
	defer patience.AfterFunc(within, func() { close(over) }).Stop()
	again := time.NewTicker(roomInterval)
	defer again.Stop()
	for {
		if a.stranger.Load() {
			a.budget.dropLargest(a.strangersPart())
		}
		select {
		case <-again.C:
			if take() {
				return true
			}
		case <-ctx.Done():
			return false
		case <-over:
			return false
		}
	}
}
