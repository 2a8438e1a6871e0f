package cred

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/perspectivebroker/pb/internal/usercode"
)

// Throttle slows down password guessing. It counts attempts by a key that the caller chooses, usually the peer's
// address (for IPv6 its /64, because one attacker has all addresses in it). The first failures are free. Each
// further failure doubles the time until the next attempt may begin. Failures are forgotten with time, one after
// the other.
//
// An attempt counts as failed from its beginning until it succeeds, so attempts at the same time gain nothing over
// attempts in a row. A success takes back its own count only: nobody can use their own account to clear their
// guesses at others.
//
// The table is bounded by [WithMaxKeys], and a full table refuses nobody: a key that is not in the table starts
// without failures. A quarter of the table holds the keys used last. A key that leaves this quarter competes for the
// rest of the table, where the key with the fewest failures is forgotten first, and among equals the one that has
// not failed for the longest time. So a key is remembered until attempts have come from a quarter of WithMaxKeys
// other keys, and after that while fewer than three quarters of WithMaxKeys other keys have as many failures. Clearing
// one key's failures takes that many other keys with as many failures each. An attacker with more keys than that is
// not slowed down by a Throttle. An attempt that fails after its key was forgotten counts for the key again.
type Throttle struct {
	config throttleConfig

	mu    sync.Mutex
	table throttleTable
}

// NewThrottle makes a Throttle that knows no keys.
func NewThrottle(opts ...ThrottleOption) *Throttle {
	config := newThrottleConfig(opts)
	return &Throttle{config: config, table: newThrottleTable(config.keys, config.fadeTime)}
}

// Attempt is one attempt to log in, from Enter to End.
type Attempt struct {
	throttle *Throttle
	key      *attempts
	ended    bool // guarded by the Throttle's mutex
}

// Enter begins an attempt. After too many failures of the key it waits until the attempt may begin. Its error is a
// *Refused: with ReasonThrottled when the wait would be longer than WithMaxWait allows, with ReasonEnded when ctx
// ends first. Without an error, End must be called. The work grows with the logarithm of WithMaxKeys.
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

// Wait is how long an attempt that began now would have to wait.
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

// End ends the attempt with the error of the login, nil for one that succeeded. Of the errors all count as
// failures but the faults of ours, such as a store that is down. A login that its peer gave up ([ReasonEnded])
// counts. Only the first End does something.
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

// reserve gives the attempt its time, and pushes that of the next one back.
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
