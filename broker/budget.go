package broker

import (
	"cmp"
	"container/list"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker/internal/patience"
)

// The memory that peers can make a runtime use is counted in one budget, before it is taken: buffers for messages that
// come in, what these take once they are decoded, answers and updates that wait to be written, references, challenges.
// Each connection has an account of what it counts for. When it ends everything is given back at once.
//
// Two things keep a connection from taking from others. A connection may always have its spare, even when the total is
// reached. And strangers, the connections of a login root on which nobody has logged in, share a part of the total that
// users do not use: when that is full the strangers that hold most of it are dropped.

const (
	// share is the most that a connection may have when the runtime has too much.
	share = 256 << 10
	// leastShare is what it may have in any case.
	leastShare = 16 << 10
	// spare is what all these shares are together, as long as there are not so many connections that each has leastShare.
	spare = 32 << 20
	// strangersPart is which part of the total strangers share, leastPart what it is at the least.
	strangersPart = 8
	leastPart     = 1 << 20
	// strangerShare is what each of them may have when that is full: enough for a login.
	strangerShare = 4 << 10
	// dropEvery is how often the strangers that hold most are looked for: who waits for room may be many.
	dropEvery = 5 * time.Millisecond
	// lineEvery is how often a stranger that is dropped is worth a warning in the log.
	lineEvery = time.Second
	// roomTime is how often room is looked for: it is others who free it.
	roomTime = 20 * time.Millisecond
)

// budget is one for each runtime.
type budget struct {
	users, strangers atomic.Int64 // bytes counted
	conns            atomic.Int64 // connections
	logins           atomic.Bool  // there is a login root

	mu sync.Mutex
	// Guarded by mu.
	unknown list.List // of *account: strangers that have not been dropped, in the order in which they came
	looked  time.Time // when those were looked for that hold most
	warned  time.Time // when a stranger that was dropped was last worth a line
}

// budgetKey finds the runtime's budget.
type budgetKey struct{}

func budgetOf(rt *actor.Runtime) *budget {
	return rt.Extension(budgetKey{}, func() any { return new(budget) }).(*budget)
}

// held is how many bytes are counted.
func (b *budget) held() int64 { return b.users.Load() + b.strangers.Load() }

// share is what each connection may have when the runtime has too much.
func (b *budget) share() int64 { return max(leastShare, min(share, spare/max(b.conns.Load(), 1))) }

// account is what one connection counts for.
type account struct {
	b      *budget
	limits *Limits
	drop   func(error) // ends the connection

	stranger atomic.Bool // changed under mu

	mu sync.Mutex
	// Guarded by mu.
	held   int64
	kept   int64 // how much of it has limits of its own: entries of tables, buffers
	closed bool

	place *list.Element // among the strangers, or nil; guarded by the budget's mutex
}

func newAccount(b *budget, limits *Limits, drop func(error)) *account {
	b.conns.Add(1)
	return &account{b: b, limits: limits, drop: drop}
}

// part is how many bytes all strangers may have.
func (a *account) part() int64 { return max(int64(a.limits.Total/strangersPart), leastPart) }

// usersPart is how many bytes all others may have.
func (a *account) usersPart() int64 {
	if a.b.logins.Load() {
		return max(0, int64(a.limits.Total)-a.part())
	}
	return int64(a.limits.Total)
}

// crowded reports whether those that the connection shares its part of the total with have too much.
func (a *account) crowded() bool {
	if a.stranger.Load() {
		return a.b.strangers.Load() > a.part()
	}
	return a.b.users.Load() > a.usersPart()
}

// add counts n bytes more, or less, whether or not there is room for them: what is as good as taken, and little.
func (a *account) add(n int) {
	if n == 0 {
		return
	}
	a.mu.Lock()
	a.addLocked(int64(n))
	a.mu.Unlock()
}

func (a *account) addLocked(n int64) {
	if a.closed {
		return
	}
	a.held += n
	if a.stranger.Load() {
		a.b.strangers.Add(n)
	} else {
		a.b.users.Add(n)
	}
}

// keep is add for what does not use up the connection's share: entries of tables, and buffers.
func (a *account) keep(n int) {
	if n == 0 {
		return
	}
	a.mu.Lock()
	a.kept += int64(n)
	a.addLocked(int64(n))
	a.mu.Unlock()
}

// take counts n bytes that are about to be taken, if there is room for them.
func (a *account) take(n int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.addLocked(int64(n))
	if a.fitsLocked(a.held - a.kept) {
		return true
	}
	a.addLocked(int64(-n))
	return false
}

// grow is take for a buffer that is to have size bytes, n more than it has. It has a share of its own.
func (a *account) grow(n, size int) bool {
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

// fitsLocked reports whether there is room for what is counted, of which the connection may have its share in any case.
func (a *account) fitsLocked(ofShare int64) bool {
	if a.stranger.Load() {
		return a.b.strangers.Load() <= a.part() || ofShare <= strangerShare
	}
	return a.closed || a.b.users.Load() <= a.usersPart() || ofShare <= a.b.share()
}

// everFits reports whether there could be room for n bytes, if others had none.
func (a *account) everFits(n int) bool {
	if a.stranger.Load() {
		return int64(n) <= a.part()
	}
	return int64(n) <= max(a.usersPart(), a.b.share())
}

// takeSoon waits for some time until take, or grow, has found room for n bytes. For strangers others are dropped that
// hold more.
func (a *account) takeSoon(ctx context.Context, n int, within time.Duration, take func() bool) bool {
	if !a.everFits(n) {
		return false
	}
	over := make(chan struct{})
	defer patience.AfterFunc(within, func() { close(over) }).Stop()
	again := time.NewTicker(roomTime)
	defer again.Stop()
	for {
		if a.stranger.Load() {
			a.b.dropStrangers(a.part())
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

// yield drops strangers that hold most when the connection is a stranger's and all of them hold more than their part,
// as they may for a moment: of what waits to be written.
func (a *account) yield() {
	if a.stranger.Load() && a.crowded() {
		a.b.dropStrangers(a.part())
	}
}

// close gives everything back, when the connection has ended.
func (a *account) close() {
	a.b.forget(a)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	a.addLocked(-a.held)
	a.closed = true
	a.b.conns.Add(-1)
}

// enterStranger makes the connection one of a stranger until admit. When there are too many, the one that came first is
// dropped.
func (a *account) enterStranger() {
	b := a.b
	b.logins.Store(true)
	b.mu.Lock()
	if !a.move(true) {
		b.mu.Unlock()
		return
	}
	a.place = b.unknown.PushBack(a)
	var first *account
	if b.unknown.Len() > a.limits.Strangers {
		first = b.firstLocked()
	}
	b.mu.Unlock()
	if first != nil {
		first.expel(
			fmt.Sprintf(
				"%d connections wait for a login, as many as Limits.Strangers allows, and this one has waited longest",
				a.limits.Strangers,
			),
		)
	}
}

// admit makes the connection one of a user.
func (a *account) admit() {
	a.b.forget(a)
	if a.stranger.Load() {
		a.move(false)
	}
}

// move counts what the connection has as a stranger's or as a user's. It reports false when the connection has ended.
func (a *account) move(stranger bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	held := a.held
	a.addLocked(-held)
	a.stranger.Store(stranger)
	a.addLocked(held)
	return !a.closed
}

func (b *budget) forget(a *account) {
	b.mu.Lock()
	b.forgetLocked(a)
	b.mu.Unlock()
}

func (b *budget) forgetLocked(a *account) {
	if a.place != nil {
		b.unknown.Remove(a.place)
		a.place = nil
	}
}

// firstLocked takes the stranger off the list that came first; nil if there is none.
func (b *budget) firstLocked() *account {
	e := b.unknown.Front()
	if e == nil {
		return nil
	}
	first := e.Value.(*account)
	b.forgetLocked(first)
	return first
}

// dropFirst drops the stranger that came first, if there is any, for want of something else that each connection takes.
func (b *budget) dropFirst(why string) bool {
	b.mu.Lock()
	first := b.firstLocked()
	b.mu.Unlock()
	if first == nil {
		return false
	}
	first.expel(why)
	return true
}

// dropStrangers drops those that hold most, and of equal ones those that came first, until the others hold no more than
// three quarters of what all may.
func (b *budget) dropStrangers(part int64) {
	for _, h := range b.greediest(part * 3 / 4) {
		h.a.expel(
			fmt.Sprintf(
				"connections without a login hold more than their part of Limits.Total, %d bytes, and this one holds %d of them",
				part,
				h.held,
			),
		)
	}
}

// holder is what an account held when it was looked at.
type holder struct {
	a    *account
	held int64
}

// greediest takes the strangers off the list that hold most, so that the others hold no more than enough.
func (b *budget) greediest(enough int64) []holder {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if now.Sub(b.looked) < dropEvery {
		return nil
	}
	b.looked = now
	all := make([]holder, 0, b.unknown.Len())
	sum := int64(0)
	for e := b.unknown.Front(); e != nil; e = e.Next() {
		a := e.Value.(*account)
		a.mu.Lock()
		all = append(all, holder{a, a.held})
		sum += a.held
		a.mu.Unlock()
	}
	slices.SortStableFunc(all, func(x, y holder) int { return cmp.Compare(y.held, x.held) })
	n := 0
	for ; n < len(all) && sum > enough; n++ {
		sum -= all[n].held
		b.forgetLocked(all[n].a)
	}
	return all[:n]
}

// isWorthALine reports whether the log is to say of one more stranger that it was dropped: whoever floods us should not
// flood the log.
func (b *budget) isWorthALine() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if now.Sub(b.warned) < lineEvery {
		return false
	}
	b.warned = now
	return true
}

// expel ends the connection of a stranger in favour of others.
func (a *account) expel(why string) {
	a.drop(&ProtocolError{Reason: RefusedStrangers, What: why})
}
