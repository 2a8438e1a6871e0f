package table

import (
	"iter"
	"maps"
	"slices"
	"time"
)

// IDs gives out the ids of exports and caches. An id is not used a second time (P-5.4, P-7.4).
type IDs struct{ last int64 }

// Next returns the next id, beginning with 1.
func (x *IDs) Next() int64 {
	x.last++
	return x.last
}

// NextOf returns the next id that has a remainder by a power of two.
func (x *IDs) NextOf(remainder, by int64) int64 {
	x.last = nextOf(x.last, remainder, by)
	return x.last
}

// nextOf returns the least number above last with a remainder by a power of two.
func nextOf(last, remainder, by int64) int64 { return last + 1 + (remainder-last-1)&(by-1) }

// Entry is something that the peer holds, or has released a short time ago.
type Entry[K comparable, V any] struct {
	ID    int64
	Key   K
	Value V

	count     int
	lingering bool
	table     *Counted[K, V]
}

// Counted is a table of what the peer holds. It finds each entry by id, and by key as long as the peer holds it. The
// zero Counted is empty.
//
// An entry with count 0 is only found by id. It leaves the table when it is dropped: at once by Unmention, or after a
// grace period by way of a [Lingering] list.
type Counted[K comparable, V any] struct {
	// Dropped, if not nil, is called with each entry that is dropped.
	Dropped func(*Entry[K, V])

	byID      map[int64]*Entry[K, V]
	byKey     map[K]*Entry[K, V] // those with a count above 0
	passed    int                // how many of byKey have an id of isPassed
	lingering int
	revoked   map[int64]int // mentions that the peer has not given back, by id
	revokedTo int64         // the greatest id of those whose mentions are not known any more
}

// Len returns how many entries the peer holds.
func (t *Counted[K, V]) Len() int { return len(t.byKey) }

// Passed returns how many entries the peer holds whose ids are those of objects to which all calls are passed on.
func (t *Counted[K, V]) Passed() int { return t.passed }

// isPassed returns 1 for such an id and 0 for others. Connections that relay choose them so.
func isPassed(id int64) int {
	if id&3 == 1 {
		return 1
	}
	return 0
}

// Size returns how many entries the table has, those included that the peer has released.
func (t *Counted[K, V]) Size() int { return len(t.byID) }

// All returns all entries.
func (t *Counted[K, V]) All() iter.Seq[*Entry[K, V]] { return maps.Values(t.byID) }

// Find returns the entry with an id, or nil.
func (t *Counted[K, V]) Find(id int64) *Entry[K, V] { return t.byID[id] }

// Held returns the entry with a key, or nil if the peer does not hold it.
func (t *Counted[K, V]) Held(key K) *Entry[K, V] { return t.byKey[key] }

// Add adds an entry and counts one mention of it. The peer must not hold the key yet.
func (t *Counted[K, V]) Add(id int64, key K, value V) *Entry[K, V] {
	if t.byID == nil {
		t.byID, t.byKey = map[int64]*Entry[K, V]{}, map[K]*Entry[K, V]{}
	}
	e := &Entry[K, V]{ID: id, Key: key, Value: value, count: 1, table: t}
	t.byID[id], t.byKey[key] = e, e
	t.passed += isPassed(id)
	return e
}

// unhold removes an entry from those that the peer holds.
func (t *Counted[K, V]) unhold(e *Entry[K, V]) {
	if t.byKey[e.Key] == e {
		delete(t.byKey, e.Key)
		t.passed -= isPassed(e.ID)
	}
}

// Mention counts one more mention of an entry that the peer holds.
func (e *Entry[K, V]) Mention() { e.count++ }

// Mentions returns how many mentions the peer holds.
func (e *Entry[K, V]) Mentions() int { return e.count }

// Unmention takes back a mention that was not sent. It drops the entry with the last one.
func (e *Entry[K, V]) Unmention() {
	if e.release(1) {
		e.drop()
	}
}

// Remove removes an entry whose first mention was not sent, without a call of Dropped.
func (e *Entry[K, V]) Remove() {
	e.table.unhold(e)
	delete(e.table.byID, e.ID)
}

// Release counts n mentions that the peer gives back. last reports whether these were the last; the caller then has to
// call [Entry.Linger]. ok is false if the peer does not hold that many.
func (t *Counted[K, V]) Release(id int64, n int) (e *Entry[K, V], last, ok bool) {
	e = t.byID[id]
	if e == nil || e.count < n {
		return nil, false, false
	}
	return e, e.release(n), true
}

func (e *Entry[K, V]) release(n int) (last bool) {
	e.count -= n
	if e.count > 0 {
		return false
	}
	e.table.unhold(e)
	return true
}

// Linger starts the grace period of an entry that the peer has released. request is the id of the last request of ours.
// If more than limit entries of the table linger, Linger drops the oldest.
func (e *Entry[K, V]) Linger(l *Lingering, request int64, now time.Time, limit int) {
	t := e.table
	e.lingering = true
	t.lingering++
	l.list = append(l.list, lingerer{e, request, now})
	if t.lingering > limit {
		l.dropFirst(func(other entry) bool {
			o, ok := other.(*Entry[K, V])
			return ok && o.table == t
		})
	}
}

// Revoke drops an entry, whoever holds it. What the peer gives back of it afterwards is accepted and has no effect.
func (e *Entry[K, V]) Revoke(l *Lingering) {
	t := e.table
	switch {
	case t.byID[e.ID] != e:
		return // It was published, or has been dropped.
	case e.lingering:
		l.dropFirst(func(other entry) bool { return other == entry(e) })
		return
	}
	if t.revoked == nil {
		t.revoked = map[int64]int{}
	}
	t.revoked[e.ID] = e.count
	if len(t.revoked) > MaxRevoked {
		t.forgetOldest()
	}
	e.count = 0
	t.unhold(e)
	e.drop()
}

// MaxRevoked is how many revoked entries a table knows the counts of. The peer may give back older ones as often as it
// likes.
const MaxRevoked = 16 << 10

// forgetOldest forgets the counts of the older half of the revoked entries.
func (t *Counted[K, V]) forgetOldest() {
	ids := slices.Sorted(maps.Keys(t.revoked))
	for _, id := range ids[:len(ids)/2] {
		delete(t.revoked, id)
		t.revokedTo = id
	}
}

// Revoked returns how many revoked entries the peer has not given back.
func (t *Counted[K, V]) Revoked() int { return len(t.revoked) }

// ReleaseRevoked counts a mention of a revoked entry that the peer gives back. It reports false if there is no such
// entry, or the peer has given back all mentions.
func (t *Counted[K, V]) ReleaseRevoked(id int64) bool {
	n := t.revoked[id]
	switch {
	case n > 1:
		t.revoked[id]--
	case n == 1:
		delete(t.revoked, id)
	}
	return n > 0 || id > 0 && id <= t.revokedTo && t.byID[id] == nil
}

func (e *Entry[K, V]) drop() {
	t := e.table
	delete(t.byID, e.ID)
	if e.lingering {
		t.lingering--
	}
	if t.Dropped != nil {
		t.Dropped(e)
	}
}

// IsHeld reports whether the peer holds the entry.
func (e *Entry[K, V]) IsHeld() bool { return e.count > 0 }

// Clear drops all entries. Entries that linger have to be removed from their list by [Lingering.Clear].
func (t *Counted[K, V]) Clear() {
	clear(t.byKey)
	t.passed, t.revoked = 0, nil
	for _, e := range t.byID {
		e.drop()
	}
}
