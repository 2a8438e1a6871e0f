package flavors

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/perspectivebroker/pb/actor"
)

// cacheTimes records how fresh a copy is.
type cacheTimes struct {
	updated, stale atomic.Int64 // nanoseconds since the Unix epoch; stale is 0 if the copy is not

	mu    sync.Mutex
	cause error           // why the copy is stale
	tell  *actor.Deferred // fails with the cause; nil until the first whenStale
}

// stop marks the copy as stale. Only the first call has an effect. It is called in brokers' turns, so the Deferreds of
// whenStale complete on another goroutine.
func (t *cacheTimes) stop(rt *actor.Runtime, cause error) {
	t.mu.Lock()
	if t.cause != nil {
		t.mu.Unlock()
		return
	}
	t.cause = cause
	t.stale.Store(time.Now().UnixNano())
	tell := t.tell
	t.mu.Unlock()
	if tell == nil {
		return
	}
	complete := func() { tell.Complete(nil, cause) }
	if !rt.Go("telling that a copy is stale", complete) {
		go complete()
	}
}

func (t *cacheTimes) reason() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cause
}

// whenStale returns a Deferred that fails once the copy is stale.
func (t *cacheTimes) whenStale(rt *actor.Runtime) *actor.Deferred {
	t.mu.Lock()
	if t.cause != nil {
		defer t.mu.Unlock()
		return actor.Failed(t.cause)
	}
	if t.tell == nil {
		t.tell = actor.NewDeferred(rt)
	}
	tell := t.tell
	t.mu.Unlock()
	own := actor.NewDeferred(rt) // so that cancelling it affects no other caller
	tell.OnComplete(func(_ any, err error) { own.Complete(nil, err) })
	return own
}
