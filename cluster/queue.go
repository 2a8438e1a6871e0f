package cluster

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/perspectivebroker/pb/flavors"
)

// maxQueued is how many calls of one gateway to one object may wait for it to be placed. Further ones fail.
const maxQueued = 10_000

// refCall is a call that waits for its object to be placed.
type refCall struct {
	slotCall
	number       int64 // in the order of calls
	since, until time.Time
}

// refQueue has the calls of a Ref that wait to be passed on, in order. Calls that were passed on may come back. The
// Ref's lock guards it, except for what is said to have another. The zero refQueue is empty.
type refQueue struct {
	calls []refCall
	last  int64 // the number of the last call that has arrived

	backMu sync.Mutex // may be locked while the Ref's lock is
	// Guarded by backMu.
	back  []refCall // calls that came back
	first int64     // the number before that of the first call
}

// arrived returns a call that has arrived, and numbers it.
func (q *refQueue) arrived(inv *flavors.Invocation, user User) refCall {
	q.last++
	now := time.Now()
	return refCall{slotCall{inv, user, true}, q.last, now, now.Add(PlacingTimeout)}
}

func (q *refQueue) isEmpty() bool { return len(q.calls) == 0 }

// add adds a call behind all others. It reports false if there are too many.
func (q *refQueue) add(c refCall) bool {
	if len(q.calls) >= maxQueued {
		return false
	}
	q.calls = append(q.calls, c)
	return true
}

// comesBack takes a call that came back. It needs no lock. It reports whether takeIn has to be called, because no other
// call waits for that.
func (q *refQueue) comesBack(c refCall) (first bool) {
	c.since = time.Now() // It has not waited to be placed.
	c.until = c.since.Add(PlacingTimeout)
	q.backMu.Lock()
	defer q.backMu.Unlock()
	q.back = append(q.back, c)
	return len(q.back) == 1
}

// comeBackFirst is comesBack for calls of which the number is not known. They are the first of those that have not
// begun, all of their connections that are not in the queue.
func (q *refQueue) comeBackFirst(calls []slotCall) (first bool) {
	now := time.Now()
	q.backMu.Lock()
	defer q.backMu.Unlock()
	first = len(q.back) == 0
	q.first -= int64(len(calls))
	for i, c := range calls {
		q.back = append(q.back, refCall{c, q.first + int64(i+1), now, now.Add(PlacingTimeout)})
	}
	return first
}

// takeIn puts the calls that came back where they were in the order of calls, and reports whether there were any.
func (q *refQueue) takeIn() bool {
	q.backMu.Lock()
	back := q.back
	q.back = nil
	q.backMu.Unlock()
	q.calls = append(q.calls, back...)
	if len(back) > 0 {
		slices.SortStableFunc(q.calls, func(a, b refCall) int { return cmp.Compare(a.number, b.number) })
	}
	return len(back) > 0
}

// drain gives the calls to pass, in order, for as long as that or giveUp reports that it has taken the call. pass may
// call takeIn, and then does not take the call.
func (q *refQueue) drain(pass, giveUp func(c refCall) (taken bool)) {
	for len(q.calls) > 0 {
		c := q.calls[0]
		switch {
		case pass(c):
		case q.calls[0].inv != c.inv:
			continue // Others came back meanwhile, and go first.
		case giveUp(c):
		default:
			return
		}
		q.calls[0] = refCall{}
		q.calls = q.calls[1:]
	}
	q.calls = nil
}

// all empties the queue.
func (q *refQueue) all() []refCall {
	calls := q.calls
	q.calls = nil
	return calls
}
