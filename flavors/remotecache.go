package flavors

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/usercode"
	"github.com/perspectivebroker/pb/supervision"
	"github.com/rs/zerolog"
)

// RemoteCache makes the struct that embeds it the local copy of a peer's Cacheable. Its Observe… methods are the
// updates: addDuck on the wire is ObserveAddDuck. They run in the copy's own actor. Its state is set before anybody
// sees it: the fields with a pb tag, or whatever a method SetCopyableState makes of it.
//
// An update that cannot be applied makes the copy stale: it names no Observe… method, its arguments do not fit, they
// are refused or cannot be decoded, or the method panics or returns an error. That is logged as a warning, and
// [Cached.WhenStale] tells. Later updates are applied as far as they can be.
//
// A struct becomes the copy of a class by [RegisterCache]; what methods receive, and applications hold, is a *[Cached]
// of it.
type RemoteCache struct {
	anchor
	times cacheTimes
}

// cacheTimes says how fresh a copy is, in nanoseconds since the Unix epoch.
type cacheTimes struct {
	updated, stale atomic.Int64

	mu    sync.Mutex
	cause error           // why it is stale
	tell  *actor.Deferred // fails with the cause; nil while nobody has asked
}

// stop notes that the copy no longer shows what its original does. The first time counts. Whoever wants to know is told
// on a goroutine of its own: stop is called in the turns of brokers.
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

// whenStale fails with the reason once there is one.
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
	own := actor.NewDeferred(rt) // so that cancelling it is nobody else's loss
	tell.OnComplete(func(_ any, err error) { own.Complete(nil, err) })
	return own
}

func (*RemoteCache) branch() supervision.Branch { return supervision.Objects }
func (*RemoteCache) prefix() Prefix             { return PrefixObserve }

// JellyTo refuses: the copy's fields are the peer's, and what goes home is the *[Cached].
func (*RemoteCache) JellyTo(_ *jelly.Encoder, self any) error {
	return InsecureJelly.Errorf(
		"a %T is the copy of a peer's original: send the *flavors.Cached that was received, or values of its fields",
		self,
	)
}

func (c *RemoteCache) freshness() *cacheTimes { return &c.times }

// RemoteCacher is implemented by pointers to structs that embed [RemoteCache], and by nothing else.
type RemoteCacher interface {
	anchored
	freshness() *cacheTimes
}

// RegisterCache lets originals of a class be cached here, as T, a struct that embeds RemoteCache.
//
//	err := flavors.RegisterCache[RemotePond](registry, "cache_classes.MasterDuckPond")
func RegisterCache[T any, P interface {
	*T
	RemoteCacher
}](r *jelly.Registry, class string) error {
	return RegisterCacheFactory(r, class, func() P { return new(T) })
}

// RegisterCacheFactory is [RegisterCache] for values that a function makes, a new one each time.
func RegisterCacheFactory[T any, P interface {
	*T
	RemoteCacher
}](r *jelly.Registry, class string, blank func() P) error {
	if blank == nil {
		return fmt.Errorf("flavors: registering %q: the function that makes blank caches is nil", class)
	}
	var err error
	if p := usercode.Do(func() { _, err = CoreOf(blank()) }); p != nil {
		return fmt.Errorf(
			"flavors: registering %q: the function that makes blank caches panicked: %s",
			class,
			usercode.PanicText(p.Value),
		)
	}
	if err != nil {
		return err
	}
	entry := jelly.ClassEntry{Kind: jelly.RemoteCache, New: func() any {
		value := blank()
		return &CacheBlank{value: value, local: newLocalCache[T]()}
	}}
	if err := r.Register(class, entry); err != nil {
		return fmt.Errorf("flavors: %w", err)
	}
	return nil
}

// CacheBlank is a copy that waits for its state. Package broker gets it from the registry when an original comes for
// the first time.
type CacheBlank struct {
	value RemoteCacher
	local *LocalCache
}

// Attach ties the copy to the connection on which its original came, and gives the entry for the broker's table.
func (b *CacheBlank) Attach(conn BrokerConn, luid int64) (*LocalCache, error) {
	core, err := CoreOf(b.value)
	if err != nil {
		return nil, err
	}
	b.local.conn, b.local.luid, b.local.core = conn, luid, core
	core.Hold(conn.Runtime())
	return b.local, nil
}

// StateTarget implements jelly.StateTarget.
func (b *CacheBlank) StateTarget() any {
	b.value.freshness().updated.Store(time.Now().UnixNano())
	return b.value
}

// PostUnjelly implements jelly.PostUnjellier.
func (b *CacheBlank) PostUnjelly() {
	if p, ok := b.value.(jelly.PostUnjellier); ok {
		p.PostUnjelly()
	}
}

// LocalCache is an entry in the broker's table of the peer's originals that are cached here. It belongs to the broker.
type LocalCache struct {
	conn BrokerConn
	luid int64
	core *Core
	// handle is the same as long as somebody holds it.
	handle interface {
		receive(*LocalCache) Handle
		isHeld() bool
		sweep()
	}
}

// Receive gives the *Cached for one more mention of the original.
func (l *LocalCache) Receive() Handle { return l.handle.receive(l) }

// IsHeld says whether there is a handle that has not been given back.
func (l *LocalCache) IsHeld() bool { return l.handle.isHeld() }

// Sweep gives the handle back if the garbage collector has found that nobody holds it.
func (l *LocalCache) Sweep() { l.handle.sweep() }

// Deliver hands an update to the copy.
func (l *LocalCache) Deliver(inv *Invocation) { l.core.Deliver(inv) }

// Disconnected ends the entry, with its connection or because the original's side has forgotten it: from now on the
// copy is stale, and can be read as long as it is held.
func (l *LocalCache) Disconnected() {
	cause := context.Cause(l.conn.Context())
	if cause == nil {
		cause = errForgotten
	}
	l.core.stale(cause)
	l.core.Release()
}

// errForgotten is why a copy is stale whose original's side has forgotten it.
var errForgotten = errors.New("flavors: the peer no longer sends updates for this copy")

// Expect notes that an update is for the copy, before anything can go wrong with it.
func (l *LocalCache) Expect(inv *Invocation) { inv.core = l.core }

// stale notes that a copy, if this is one, no longer shows what its original does.
func (c *Core) stale(cause error) {
	if r, ok := c.Value().(RemoteCacher); ok {
		r.freshness().stop(c.runtime(), cause)
	}
}

// updateError is why a copy is stale that could not apply an update.
type updateError struct {
	update string
	err    error
}

func (e *updateError) Error() string {
	return "flavors: the update " + e.update + " could not be applied: " + usercode.ErrorText(e.err)
}
func (e *updateError) Unwrap() error { return e.err }

// updateFailed marks the copy for which an update could not be applied. It runs none of the application's code, since
// the answer is due.
func (c *Core) updateFailed(inv *Invocation, err error) {
	if inv.conn.Context().Err() == nil { // Otherwise that is the reason, and the broker notes it.
		c.stale(&updateError{inv.name(), err})
	}
}

// logUpdateFailed logs each update that could not be applied.
func (c *Core) logUpdateFailed(inv *Invocation, err error) {
	level, last := c.updates.level(supervision.TreeOf(inv.conn.Runtime()).ObjectLimit())
	if level == zerolog.ErrorLevel {
		level = zerolog.WarnLevel
	}
	usercode.Log(func() {
		inv.conn.Logger().WithLevel(level).Err(usercode.LogError(err)).Str("update", inv.name()).
			Msg("an update could not be applied; the copy is stale")
	})
	if last {
		usercode.Log(func() {
			inv.conn.Logger().Warn().Str("copy", c.typeName()).
				Msg("updates of this copy fail often; further failures within this time are logged at the debug level")
		})
	}
}

// updated notes the time of an update, in the copy's turn.
func (c *Core) updated() {
	if r, ok := c.Value().(RemoteCacher); ok {
		r.freshness().updated.Store(time.Now().UnixNano())
	}
}
