package cred

import (
	"container/heap"
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
	"time"

	"github.com/perspectivebroker/pb/internal/usercode"
)

// Throttle slows down password guessing. It counts attempts by a key that the caller chooses, usually the peer's
// address (for IPv6 its /64, because one attacker has all addresses in it). The first failures are free. Each further
// failure doubles the time until the next attempt may begin. Failures are forgotten with time, one by one.
//
// An attempt counts as failed until it succeeds, so concurrent attempts gain nothing over sequential ones. A success
// removes only its own count: a user cannot clear guesses at other users with their own account.
//
// [WithMaxKeys] bounds the table, and a full table refuses no attempt: a key that is not in the table starts without
// failures. A quarter of the table holds the most recently used keys. A key that leaves this quarter competes for the
// rest of the table, where the key with the fewest failures is forgotten first, and among equal keys the one that has
// not failed for the longest time. So a key is remembered until attempts have come from a quarter of WithMaxKeys other
// keys, and then as long as fewer than three quarters of WithMaxKeys other keys have as many failures. To clear one
// key's failures takes that many other keys with as many failures each. A Throttle does not slow down an attacker with
// more keys than that. If a key was forgotten during an attempt that fails, the failure counts for the key again.
type Throttle struct {
	config throttleConfig

	mu    sync.Mutex
	table throttleTable
}

// NewThrottle returns an empty Throttle.
func NewThrottle(opts ...ThrottleOption) *Throttle {
	config := newThrottleConfig(opts)
	return &Throttle{config: config, table: newThrottleTable(config.keys, config.fadeTime)}
}

// Attempt is a login attempt, from Enter to End.
type Attempt struct {
	throttle *Throttle
	key      *attempts
	ended    bool // guarded by the Throttle's mutex
}

// Enter begins an attempt. After too many failures of the key, it waits until the attempt may begin. Its error is a
// *Refused: with ReasonThrottled if the wait would exceed WithMaxWait, and with ReasonEnded if ctx ends first. Without
// an error, End must be called. The work grows with the logarithm of WithMaxKeys.
func (t *Throttle) Enter(ctx context.Context, key string) (*Attempt, error) {
	switch {
	case ctx == nil:
		return nil, Fault(context.Background(), ReasonThrottled, errNoContext)
	case t == nil || t.table.keys == nil:
		return nil, Fault(ctx, ReasonStore, errors.New("cred: the Throttle is nil, or was not made by NewThrottle"))
	}
	attempt, wait, err := t.reserve(time.Now(), key)
	if err != nil {
		return nil, err
	}
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			attempt.end(false)
			return nil, Fault(ctx, ReasonEnded, ctx.Err())
		}
	}
	return attempt, nil
}

// Wait returns how long an attempt that began now would wait.
func (t *Throttle) Wait(key string) time.Duration {
	if t == nil {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if a, ok := t.table.keys[key]; ok {
		return max(0, time.Until(a.next))
	}
	return 0
}

// FreeFailures returns how many failures of a key cause no delay. As many attempts may be under way without delaying
// others.
func (t *Throttle) FreeFailures() int {
	if t == nil {
		return 0
	}
	return t.config.free
}

// End ends the attempt with the error of the login, or nil if it succeeded. All errors count as failures, except our
// own faults, such as a store that is down. A login that its peer abandoned ([ReasonEnded]) counts. Only the first End
// has an effect.
func (a *Attempt) End(err error) {
	if a == nil || a.throttle == nil {
		return
	}
	var refused *Refused
	failed := err != nil
	if usercode.AsInto(err, &refused) && refused.Fault() && refused.Reason() != ReasonEnded {
		failed = false
	}
	a.end(failed)
}

func (a *Attempt) end(failed bool) {
	t := a.throttle
	t.mu.Lock()
	defer t.mu.Unlock()
	if a.ended {
		return
	}
	a.ended = true
	now := time.Now()
	a.key.running--
	switch {
	case failed:
		a.key = t.table.restore(a.key)
		a.key.failed = min(a.key.failed+1, maxCounted)
		a.key.faded = now
	default:
		if sooner := now.Add(t.config.delay(a.key.failed + a.key.running)); sooner.Before(a.key.next) {
			a.key.next = sooner
		}
	}
	t.table.changed(a.key)
}

// reserve assigns the attempt its time and delays the next one.
func (t *Throttle) reserve(now time.Time, key string) (*Attempt, time.Duration, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.table.sweep(now)
	a := t.table.use(now, key)
	t.config.fade(a, now)
	defer t.table.changed(a)
	begin := now
	if a.next.After(now) {
		begin = a.next
	}
	wait := begin.Sub(now)
	if wait > t.config.maxWait {
		return nil, 0, Refuse(ReasonThrottled, "the next attempt may begin in %v", wait)
	}
	a.running++
	a.next = begin.Add(t.config.delay(a.failed + a.running))
	return &Attempt{throttle: t, key: a}, wait, nil
}

// Defaults of a Throttle. They allow three free guesses, seven in the first half minute, and then one per minute.
const (
	DefaultFreeFailures = 3
	DefaultFirstDelay   = time.Second
	DefaultMaxDelay     = time.Minute
	DefaultMaxWait      = 30 * time.Second
	DefaultForgetAfter  = 5 * time.Minute
	DefaultMaxKeys      = 10_000
)

// maxCounted limits the count of failures. The delay reaches its maximum long before.
const maxCounted = 64

// ThrottleOption configures a Throttle. The With functions of this package return options.
type ThrottleOption interface{ applyThrottle(*throttleConfig) }

type throttleConfig struct {
	free     int
	first    time.Duration
	longest  time.Duration
	maxWait  time.Duration
	fadeTime time.Duration
	keys     int
}

type throttleOption func(*throttleConfig)

func (o throttleOption) applyThrottle(c *throttleConfig) { o(c) }

func newThrottleConfig(opts []ThrottleOption) throttleConfig {
	c := throttleConfig{
		DefaultFreeFailures,
		DefaultFirstDelay,
		DefaultMaxDelay,
		DefaultMaxWait,
		DefaultForgetAfter,
		DefaultMaxKeys,
	}
	for _, o := range opts {
		if o != nil {
			o.applyThrottle(&c)
		}
	}
	return c
}

// WithFreeFailures sets how many failures cause no delay. Default: DefaultFreeFailures, 3.
func WithFreeFailures(n int) ThrottleOption {
	return throttleOption(func(c *throttleConfig) { c.free = max(n, 0) })
}

// WithDelays sets the delay after the first failure that is not free, and the longest delay that doubling leads to.
// Default: DefaultFirstDelay and DefaultMaxDelay, a second and a minute.
func WithDelays(first, longest time.Duration) ThrottleOption {
	return throttleOption(func(c *throttleConfig) { c.first, c.longest = max(first, 0), max(first, longest, 0) })
}

// WithMaxWait sets how long an attempt may wait instead of being refused. Stock peers cannot be told to come back
// later. Each waiting attempt needs a goroutine and a connection. 0 refuses at once. Default: DefaultMaxWait, 30
// seconds.
func WithMaxWait(d time.Duration) ThrottleOption {
	return throttleOption(func(c *throttleConfig) { c.maxWait = max(d, 0) })
}

// WithForgetAfter sets how long after the last failure one failure is forgotten, and then each further one. Default:
// DefaultForgetAfter, five minutes.
func WithForgetAfter(d time.Duration) ThrottleOption {
	return throttleOption(func(c *throttleConfig) { c.fadeTime = max(d, time.Millisecond) })
}

// WithMaxKeys sets how many keys are remembered, at about 250 bytes each plus the key. [Throttle] describes which are
// forgotten beyond that. Default: DefaultMaxKeys, 10,000.
func WithMaxKeys(n int) ThrottleOption {
	return throttleOption(func(c *throttleConfig) { c.keys = max(n, 1) })
}

// delay returns the time between two attempts after the given number of failures.
func (c *throttleConfig) delay(failed int) time.Duration {
	if failed < c.free {
		return 0
	}
	delay := c.first
	for range failed - c.free {
		if delay >= c.longest/2 {
			return c.longest
		}
		delay *= 2
	}
	return min(delay, c.longest)
}

// fade forgets the failures that are old enough.
func (c *throttleConfig) fade(a *attempts, now time.Time) {
	n := min(int(now.Sub(a.faded)/c.fadeTime), a.failed)
	if n > 0 {
		a.failed -= n
		a.faded = a.faded.Add(time.Duration(n) * c.fadeTime)
	}
	if a.failed == 0 {
		a.faded = now
	}
}

// attempts is the record of a key. The Throttle's mutex guards it.
type attempts struct {
	key     string
	failed  int       // not yet forgotten
	running int       // attempts under way, which count as failed
	next    time.Time // when the next attempt may begin
	faded   time.Time // start of the time after which the next failure is forgotten

	used   uint64        // orders keys by their last use
	recent *list.Element // element of the recent keys, or nil
	index  int           // index among the guilty keys, or notInHeap
}

const notInHeap = -1

// maxGuilt keeps innocentAt from overflowing. Higher counts are equal in the order of guilt.
const maxGuilt = 2 * maxCounted

// throttleTable holds at most recentRoom+guiltyRoom keys. It has two parts, because neither is enough alone. Ordered by
// last use, keys without failures would evict those with many. Ordered by failures, two new keys would evict each other
// from a table full of guilty keys and could guess without limit in turn.
type throttleTable struct {
	keys     map[string]*attempts
	fadeTime time.Duration
	uses     uint64

	recent     *list.List // of *attempts, most recently used first
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

// use returns the record of the key, making it if necessary, and marks it as used.
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

// insert adds a new record as the most recently used.
func (t *throttleTable) insert(a *attempts) {
	t.touch(a)
	t.keys[a.key] = a
	a.recent = t.recent.PushFront(a)
	if t.recent.Len() > t.recentRoom {
		t.demote(t.recent.Back().Value.(*attempts))
	}
}

// demote moves a key from the recent to the guilty ones. If these are full, the least guilty key is forgotten.
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

// restore returns the record in which a failure counts: a itself, unless its key was forgotten during the attempt.
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

// changed must be called after a change of a key's counts, times or use.
func (t *throttleTable) changed(a *attempts) {
	if a.index != notInHeap {
		heap.Fix(&t.guilty, a.index)
	}
}

// sweepKeys is how many keys of each part are examined for every attempt: more than one, so that the table shrinks.
const sweepKeys = 2

// sweep forgets a few keys whose record no longer matters.
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

// spent reports whether a key would be treated the same without its record.
func (t *throttleTable) spent(a *attempts, now time.Time) bool {
	return a.running == 0 && !a.innocentAt(t.fadeTime).After(now) && !a.next.After(now)
}

// innocentAt returns when the last failure will be forgotten if the attempts under way fail and no others begin. Of two
// keys, the one with more failures has the later innocentAt at any time. This order does not change as failures are
// forgotten, so a heap can keep it.
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

// Format implements fmt.Formatter.
func (t *Throttle) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "<throttle>") }
