package flow

import (
	"cmp"
	"container/list"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxShare is the most that a connection may hold when its runtime holds too much.
	maxShare = 256 << 10
	// minShare is what a connection may always hold.
	minShare = 16 << 10
	// sharesTotal bounds all shares together, unless there are so many connections that each has minShare.
	sharesTotal = 32 << 20
	// Strangers together may hold a strangersFraction of the total, but at least minStrangersPart.
	strangersFraction = 8
	minStrangersPart  = 1 << 20
	// strangerShare is what each of them may hold when that part is full: enough for a login.
	strangerShare = 4 << 10
	// dropInterval limits how often the largest strangers are looked for, since many connections may wait for room.
	dropInterval = 5 * time.Millisecond
	// logInterval limits how often a dropped stranger is logged as a warning.
	logInterval = time.Second
)

// Budget counts the memory that peers make a runtime hold, before it is allocated: messages that have arrived in part,
// decoded messages until they are handled, data that waits to be written, table entries. Each connection has an
// [Account]; closing it returns everything that it holds.
//
// Two rules keep a connection from using up what others need. A connection may always hold its share, even when the
// total is reached. And strangers, which are connections to a login root before the login, share a part of the total
// that users do not use. When that part is full, the strangers that hold most are dropped.
//
// The zero Budget is ready to use.
type Budget struct {
	users, strangers atomic.Int64 // bytes held
	conns            atomic.Int64 // connections
	logins           atomic.Bool  // there is a login root

	mu sync.Mutex
	// Guarded by mu.
	waiting    list.List // of *Account: strangers that have not been dropped, oldest first
	lastDrop   time.Time // when the largest strangers were last looked for
	lastLogged time.Time
}

// Held returns how many bytes are counted.
func (b *Budget) Held() int64 { return b.users.Load() + b.strangers.Load() }

// share is what each connection may hold when the runtime holds too much.
func (b *Budget) share() int64 {
	return max(minShare, min(maxShare, sharesTotal/max(b.conns.Load(), 1)))
}

// ShouldLog reports whether to log a dropped stranger. It limits the rate of these lines.
func (b *Budget) ShouldLog() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if now.Sub(b.lastLogged) < logInterval {
		return false
	}
	b.lastLogged = now
	return true
}

// DropOldest drops the oldest stranger and reports whether there was one. It frees resources other than memory.
func (b *Budget) DropOldest(why string) bool {
	b.mu.Lock()
	oldest := b.removeOldestLocked()
	b.mu.Unlock()
	if oldest == nil {
		return false
	}
	oldest.drop(why)
	return true
}

// removeOldestLocked takes the oldest stranger off the list; it returns nil if there is none.
func (b *Budget) removeOldestLocked() *Account {
	e := b.waiting.Front()
	if e == nil {
		return nil
	}
	oldest := e.Value.(*Account)
	b.removeLocked(oldest)
	return oldest
}

func (b *Budget) remove(a *Account) {
	b.mu.Lock()
	b.removeLocked(a)
	b.mu.Unlock()
}

func (b *Budget) removeLocked(a *Account) {
	if a.place != nil {
		b.waiting.Remove(a.place)
		a.place = nil
	}
}

// dropLargest drops the strangers that hold most, older ones first, until the others hold at most three quarters of
// part.
func (b *Budget) dropLargest(part int64) {
	for _, h := range b.removeLargest(part * 3 / 4) {
		h.a.drop(fmt.Sprintf(
			"connections without a login hold more than their part of Limits.MemoryTotal, %d bytes; this one holds %d of them",
			part, h.held,
		))
	}
}

// holder is an account and what it held when it was looked at.
type holder struct {
	a    *Account
	held int64
}

// removeLargest takes the strangers that hold most off the list, so that the others hold at most enough.
func (b *Budget) removeLargest(enough int64) []holder {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if now.Sub(b.lastDrop) < dropInterval {
		return nil
	}
	b.lastDrop = now
	all := make([]holder, 0, b.waiting.Len())
	sum := int64(0)
	for e := b.waiting.Front(); e != nil; e = e.Next() {
		a := e.Value.(*Account)
		a.mu.Lock()
		all = append(all, holder{a, a.held})
		sum += a.held
		a.mu.Unlock()
	}
	slices.SortStableFunc(all, func(x, y holder) int { return cmp.Compare(y.held, x.held) })
	n := 0
	for ; n < len(all) && sum > enough; n++ {
		sum -= all[n].held
		b.removeLocked(all[n].a)
	}
	return all[:n]
}
