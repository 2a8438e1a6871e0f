package cred

import (
	"container/heap"
	"container/list"
	"math"
	"time"
)

// attempts is what is known of one key. It is guarded by the Throttle's mutex.
type attempts struct {
	key     string
	failed  int       // and not yet forgotten
	running int       // begun and not ended; counted as failed
	next    time.Time // when the next attempt may begin
	faded   time.Time // from when on the next failure is being forgotten

	used   uint64        // orders the keys by their last use
	recent *list.Element // the place among the recent keys, or nil
	index  int           // the place among the guilty keys, or notInHeap
}

const notInHeap = -1

// maxGuilt keeps innocentAt from overflowing; counts above it are equal in the order of guilt.
const maxGuilt = 2 * maxCounted

// throttleTable holds what is known of at most recentRoom+guiltyRoom keys. It has two parts, because one alone fails:
// ordered by last use, keys without failures would push out those that have many; ordered by failures, two new keys
// would push each other out of a table full of guilty keys, and guess without limit in turn.
type throttleTable struct {
	keys     map[string]*attempts
	fadeTime time.Duration
	uses     uint64

	recent     *list.List // of *attempts, the key used last in front
	recentRoom int
	guilty     guiltyHeap
	guiltyRoom int
}

func newThrottleTable(keys int, fadeTime time.Duration) throttleTable {
	recent := max(keys/4, 1)
	fadeTime = min(fadeTime, math.MaxInt64/maxGuilt)
	return throttleTable{
		keys: map[string]*attempts{}, fadeTime: fadeTime,
		recent: list.New(), recentRoom: recent,
		guilty: guiltyHeap{fadeTime: fadeTime}, guiltyRoom: keys - recent,
	}
}

// use returns what is known of the key, which may be nothing yet, and marks it as used.
func (t *throttleTable) use(now time.Time, key string) *attempts {
	a, ok := t.keys[key]
	if !ok {
		a = &attempts{key: key, faded: now, index: notInHeap}
		t.insert(a)
		return a
	}
	t.touch(a)
	if a.recent != nil {
		t.recent.MoveToFront(a.recent)
	}
	return a
}

func (t *throttleTable) touch(a *attempts) {
	t.uses++
	a.used = t.uses
}

// insert adds a key that is not in the table, as the one used last.
func (t *throttleTable) insert(a *attempts) {
	t.touch(a)
	t.keys[a.key] = a
	a.recent = t.recent.PushFront(a)
	if t.recent.Len() > t.recentRoom {
		t.demote(t.recent.Back().Value.(*attempts))
	}
}

// demote moves a key from the recent ones to the guilty ones. When these are full, the least guilty is forgotten.
func (t *throttleTable) demote(a *attempts) {
	t.recent.Remove(a.recent)
	a.recent = nil
	if len(t.guilty.keys) < t.guiltyRoom {
		heap.Push(&t.guilty, a)
		return
	}
	least := a
	if t.guiltyRoom > 0 && t.guilty.lessGuilty(t.guilty.keys[0], a) {
		least = t.guilty.keys[0]
		t.guilty.keys[0], a.index = a, 0
		heap.Fix(&t.guilty, 0)
	}
	least.index = notInHeap
	delete(t.keys, least.key)
}

// restore returns the record where a failure of the key counts: a itself, unless the key was forgotten while the
// attempt was under way.
func (t *throttleTable) restore(a *attempts) *attempts {
	known, ok := t.keys[a.key]
	switch {
	case !ok:
		t.insert(a)
		return a
	case known != a && a.next.After(known.next):
		known.next = a.next
	}
	return known
}

// changed must be called when the counts of a key, its times or its use have changed.
func (t *throttleTable) changed(a *attempts) {
	if a.index != notInHeap {
		heap.Fix(&t.guilty, a.index)
	}
}

// sweepKeys is how many keys of either part are looked at for every attempt: more than one, so that the table
// shrinks.
const sweepKeys = 2

// sweep forgets keys of which there is nothing left to remember, a few at a time.
func (t *throttleTable) sweep(now time.Time) {
	for range sweepKeys {
		if e := t.recent.Back(); e != nil && t.spent(e.Value.(*attempts), now) {
			t.recent.Remove(e)
			t.forget(e.Value.(*attempts))
		}
		if len(t.guilty.keys) > 0 && t.spent(t.guilty.keys[0], now) {
			t.forget(heap.Pop(&t.guilty).(*attempts))
		}
	}
}

func (t *throttleTable) forget(a *attempts) {
	a.recent, a.index = nil, notInHeap
	delete(t.keys, a.key)
}

// spent reports whether a key without a record would be treated the same.
func (t *throttleTable) spent(a *attempts, now time.Time) bool {
	return a.running == 0 && !a.innocentAt(t.fadeTime).After(now) && !a.next.After(now)
}

// innocentAt is when the last failure will be forgotten if the attempts under way fail and no others begin. Of two
// keys, the one that has more failures at any time has the later innocentAt: this order does not change as
// failures are forgotten, so a heap can keep it.
func (a *attempts) innocentAt(fadeTime time.Duration) time.Time {
	return a.faded.Add(time.Duration(min(a.failed+a.running, maxGuilt)) * fadeTime)
}

// guiltyHeap is a heap.Interface with the least guilty key first.
type guiltyHeap struct {
	keys     []*attempts
	fadeTime time.Duration
}

func (h *guiltyHeap) lessGuilty(a, b *attempts) bool {
	if order := a.innocentAt(h.fadeTime).Compare(b.innocentAt(h.fadeTime)); order != 0 {
		return order < 0
	}
	if idle := a.running == 0; idle != (b.running == 0) {
		return idle
	}
	return a.used < b.used
}

func (h *guiltyHeap) Len() int           { return len(h.keys) }
func (h *guiltyHeap) Less(i, j int) bool { return h.lessGuilty(h.keys[i], h.keys[j]) }

func (h *guiltyHeap) Swap(i, j int) {
	h.keys[i], h.keys[j] = h.keys[j], h.keys[i]
	h.keys[i].index, h.keys[j].index = i, j
}

func (h *guiltyHeap) Push(a any) {
	h.keys = append(h.keys, a.(*attempts))
	h.keys[len(h.keys)-1].index = len(h.keys) - 1
}

func (h *guiltyHeap) Pop() any {
	last := len(h.keys) - 1
	a := h.keys[last]
	h.keys[last] = nil
	h.keys, a.index = h.keys[:last], notInHeap
	return a
}
