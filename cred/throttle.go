package cred

import (
	"container/list"
	"context"
	"sync"
	"time"

	"github.com/perspectivebroker/pb/internal/usercode"
)

// Throttle slows down those who guess. Attempts are counted by a key that the caller chooses, the peer's address
// as a rule (for IPv6 better its /64, or one attacker has any number of keys). The first failures are free; each
// further one doubles the time until the next attempt may begin; with time they are forgotten, one after the
// other.
//
// An attempt counts as failed from its beginning until it ends well, so that a thousand at once gain nothing over
// a thousand in a row. A success takes back its own count alone: whoever has an account cannot use it to clear his
// guesses at others.
//
// The table is bounded. When it is full, the key that was used longest ago is forgotten.
type Throttle struct {
	config throttleConfig

	mu   sync.Mutex
	keys map[string]*list.Element // of *attempts
	used *list.List               // the key used last in front
}

// attempts is what is known of one key. It is guarded by the Throttle's mutex.
type attempts struct {
	key     string
	failed  int       // and not yet forgotten
	running int       // begun and not ended; counted as failed
	next    time.Time // when the next attempt may begin
	faded   time.Time // from when on the next failure is being forgotten
}

// NewThrottle makes a Throttle that knows no keys.
func NewThrottle(opts ...ThrottleOption) *Throttle {
	return &Throttle{config: newThrottleConfig(opts), keys: map[string]*list.Element{}, used: list.New()}
}

// Attempt is one attempt to log in, from Enter to End.
type Attempt struct {
	throttle *Throttle
	key      *attempts
	ended    bool // guarded by the Throttle's mutex
}

// Enter begins an attempt. Where there were too many before it waits until this one's time has come. Its error is
// a *Refused: with ReasonThrottled when the wait would be longer than WithMaxWait allows, with ReasonEnded when
// ctx ends first. Otherwise End must be called.
func (t *Throttle) Enter(ctx context.Context, key string) (*Attempt, error) {
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
	t.mu.Lock()
	defer t.mu.Unlock()
	if e, ok := t.keys[key]; ok {
		return max(0, time.Until(e.Value.(*attempts).next))
	}
	return 0
}

// End ends the attempt with the error of the login, nil for one that succeeded. Of the errors all count as
// failures but the faults of ours, such as a store that is down. A login that its peer gave up ([ReasonEnded])
// counts. Only the first End does something.
func (a *Attempt) End(err error) {
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
	if failed {
		a.key.failed = min(a.key.failed+1, maxCounted)
		a.key.faded = now
		return
	}
	if sooner := now.Add(t.config.delay(a.key.failed + a.key.running)); sooner.Before(a.key.next) {
		a.key.next = sooner
	}
}

// reserve gives the attempt its time, and pushes that of the next one back.
func (t *Throttle) reserve(now time.Time, key string) (*Attempt, time.Duration, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sweep(now)
	a, err := t.find(now, key)
	if err != nil {
		return nil, 0, err
	}
	t.config.fade(a, now)
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

// find returns what is known of the key, and makes room for one that is new.
func (t *Throttle) find(now time.Time, key string) (*attempts, error) {
	if e, ok := t.keys[key]; ok {
		t.used.MoveToFront(e)
		return e.Value.(*attempts), nil
	}
	if len(t.keys) >= t.config.keys && !t.evict() {
		return nil, Refuse(ReasonThrottled, "there are attempts under way from %d keys, as many as WithMaxKeys allows", len(t.keys))
	}
	a := &attempts{key: key, faded: now}
	t.keys[key] = t.used.PushFront(a)
	return a, nil
}

// sweepKeys is how many keys are looked at for every attempt: more than one, so that the table shrinks.
const sweepKeys = 2

// sweep forgets keys of which there is nothing left to remember, a few at a time.
func (t *Throttle) sweep(now time.Time) {
	for range sweepKeys {
		e := t.used.Back()
		if e == nil {
			return
		}
		a := e.Value.(*attempts)
		if t.config.fade(a, now); a.failed > 0 || a.running > 0 || a.next.After(now) {
			return
		}
		t.remove(e)
	}
}

// evict forgets the key that was used longest ago and has no attempt under way, whose end would be lost.
func (t *Throttle) evict() bool {
	for e := t.used.Back(); e != nil; e = e.Prev() {
		if e.Value.(*attempts).running == 0 {
			t.remove(e)
			return true
		}
	}
	return false
}

func (t *Throttle) remove(e *list.Element) {
	delete(t.keys, e.Value.(*attempts).key)
	t.used.Remove(e)
}
