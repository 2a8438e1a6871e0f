package flavors

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/seam"
	"github.com/perspectivebroker/pb/internal/usercode"
	"github.com/perspectivebroker/pb/supervision"
	"github.com/rs/zerolog"
)

// Cached is a handle on the local copy of a peer's Cacheable. It is made by receiving one; as long as somebody holds
// it, the same original over one connection gives the same handle. The original's side goes on sending updates until
// the handle is let go: by [Cached.Release], by the last linked actor (see [Link]) or by being forgotten.
//
// Sent back over its connection, it is the original again. It is good on no other.
type Cached[T any] struct {
	cache *cacheHandle
}

// cacheHandle is what outlives the handle. It must not point to it.
type cacheHandle struct {
	count seam.Refcount
	conn  BrokerConn
	luid  int64
	core  *Core
}

// localHandle is the handle that there is for a LocalCache. It belongs to the broker.
type localHandle[T any] struct {
	known weak.Pointer[Cached[T]]
	cache *cacheHandle // what outlives the handle; nil before the first
}

func newLocalCache[T any]() *LocalCache { return &LocalCache{handle: &localHandle[T]{}} }

// receive gives the handle for one more receipt.
func (s *localHandle[T]) receive(l *LocalCache) Handle {
	if h := s.known.Value(); h != nil && h.cache.count.Receive() {
		return h
	}
	l.core.Hold(l.conn.Runtime())
	cache := &cacheHandle{conn: l.conn, luid: l.luid, core: l.core}
	cache.count.Init(l.conn.Turns(), cache)
	h := &Cached[T]{cache}
	watchHandle(l.conn.Runtime(), h, cache)
	s.known, s.cache = weak.Make(h), cache
	return h
}

func (s *localHandle[T]) isHeld() bool { return s.cache != nil && !s.cache.count.IsReleased() }

func (s *localHandle[T]) sweep() {
	if s.cache != nil && s.known.Value() == nil {
		s.cache.forget()
	}
}

func (h *cacheHandle) forget() {
	if h.count.Collected(h.conn.Turns()) {
		h.core.Release()
	}
}

// release gives back receipts by one of the methods of the count. The last receipt ends the handle.
func (h *cacheHandle) release(how func(*seam.Refcount, *seam.Turns) (last bool)) {
	if how(&h.count, h.conn.Turns()) {
		h.core.Release()
	}
}

// ReturnReceipts implements seam.Returner.
func (h *cacheHandle) ReturnReceipts(n int) { h.conn.ForgetCache(h.luid, n) }

// View calls f with the copy, in the copy's turn and so between two updates, and returns when f has returned. Updates
// that the peer sent before a call are in place when the call's method views the copy. f must neither keep the pointer
// nor wait for anything, and the copy's own methods, which are in its turn already, must not call View. The copy of a
// connection that has ended can still be viewed. The error says that the copy has been released or has stopped, or that
// f panicked.
func (c *Cached[T]) View(f func(copy *T)) error {
	switch {
	case !c.isMade():
		return errNoCache
	case f == nil:
		return errNoFunction
	}
	if c.cache.count.IsReleased() {
		return DeadReference.Wrap(ErrReleased)
	}
	defer runtime.KeepAlive(c)
	_, err := c.cache.core.do(func() { f(c.cache.core.Value().(*T)) }).Await(context.Background())
	return err
}

// Do is [Cached.View] for those who must not wait: the Deferred completes when f has run.
func (c *Cached[T]) Do(f func(copy *T)) *actor.Deferred {
	switch {
	case !c.isMade():
		return actor.Failed(errNoCache)
	case f == nil:
		return actor.Failed(errNoFunction)
	}
	if c.cache.count.IsReleased() {
		return actor.Failed(DeadReference.Wrap(ErrReleased))
	}
	return c.cache.core.do(func() {
		f(c.cache.core.Value().(*T))
		runtime.KeepAlive(c)
	})
}

// LastUpdate is when the copy was last changed by the peer: by an update, or by its first state.
func (c *Cached[T]) LastUpdate() time.Time {
	if !c.isMade() {
		return time.Time{}
	}
	return time.Unix(0, c.times().updated.Load())
}

// Stale says whether the copy is followed no more, and since when: its connection has ended, an update could not be
// applied, or the application has stopped it. It shows what it was then.
func (c *Cached[T]) Stale() (since time.Time, stale bool) {
	if !c.isMade() {
		return time.Time{}, true
	}
	if t := c.times().stale.Load(); t != 0 {
		return time.Unix(0, t), true
	}
	if context.Cause(c.cache.conn.Context()) != nil {
		return time.Now(), true // The broker is about to note it.
	}
	return time.Time{}, false
}

// Err says why the copy is stale, and is nil while it is followed.
func (c *Cached[T]) Err() error {
	if !c.isMade() {
		return errNoCache
	}
	if err := c.times().reason(); err != nil {
		return err
	}
	if cause := context.Cause(c.cache.conn.Context()); cause != nil {
		return ConnectionLost.Wrap(cause)
	}
	return nil
}

// WhenStale fails, with what [Cached.Err] returns, once the copy is stale: to be told, use it as any other Deferred. A
// copy that is stale because of an update can be had anew: release all receipts of it, and ask the peer for its
// original again.
//
//	pond.WhenStale().OnComplete(func(_ any, err error) { … })
func (c *Cached[T]) WhenStale() *actor.Deferred {
	if !c.isMade() {
		return actor.Failed(errNoCache)
	}
	return c.times().whenStale(c.runtime())
}

var (
	// errNoCache is how everything fails that is asked of a nil handle.
	errNoCache = DeadReference.New(
		"the handle on a cache is nil: nothing was received, or it was not made by receiving something",
	)
	errNoFunction = errors.New("flavors: a nil function was given to be run")
)

func (c *Cached[T]) isMade() bool { return c != nil && c.cache != nil }

// copied is the copy's struct; nil if there is none.
func (c *Cached[T]) copied() any {
	if !c.isMade() {
		return nil
	}
	return c.cache.core.Value()
}

func (c *Cached[T]) times() *cacheTimes { return c.cache.core.Value().(RemoteCacher).freshness() }

// Conn is the connection on which the original came.
func (c *Cached[T]) Conn() Conn {
	if !c.isMade() {
		return nil
	}
	return c.cache.conn.Conn()
}

// Release undoes one receipt of the original; with the last one the handle is dead and the original's side is told to
// stop, after the last message that mentions it and was handed over before.
func (c *Cached[T]) Release() {
	if !c.isMade() {
		return
	}
	c.cache.release((*seam.Refcount).Release)
	runtime.KeepAlive(c)
}

// String describes the handle for logs.
func (c *Cached[T]) String() string {
	if !c.isMade() {
		return "<cached nil>"
	}
	return fmt.Sprintf("<cached %d>", c.cache.luid)
}

// DescribeJelly implements [jelly.Describer].
func (c *Cached[T]) DescribeJelly() string { return unbracketed(c.String()) }

// GoString implements fmt.GoStringer by String: %#v would read what other goroutines change.
func (c *Cached[T]) GoString() string { return c.String() }

func (c *Cached[T]) runtime() *actor.Runtime {
	if !c.isMade() {
		return nil
	}
	return c.cache.conn.Runtime()
}
func (c *Cached[T]) link()   { c.cache.count.Link() }
func (c *Cached[T]) unlink() { c.cache.release((*seam.Refcount).Unlink) }

// JellyTo sends the original home: [lcache luid].
func (c *Cached[T]) JellyTo(e *jelly.Encoder, _ any) error {
	if c == nil {
		return e.Value(nil)
	}
	if c.cache == nil {
		return errNoCache
	}
	if e.Invoker() != any(c.cache.conn) {
		return InsecureJelly.Errorf("%v belongs to another connection: a cache can only be sent back to its original", c)
	}
	if err := e.List(2); err != nil {
		return err
	}
	e.Symbol(banana.SymLCache)
	if !c.cache.count.Use() {
		return fmt.Errorf("%v was released before it was sent: %w", c, DeadReference.Wrap(ErrReleased))
	}
	e.Hole(OriginalHole{c.cache})
	e.Keep(c)
	return nil
}

// OriginalHole stands in a fragment for the luid of a peer's original that goes home. The cache is in use until the
// fragment is freed.
type OriginalHole struct{ cache *cacheHandle }

// Luid is the peer's luid.
func (h OriginalHole) Luid() int64 { return h.cache.luid }

// HoleDone implements jelly.HoleUser.
func (h OriginalHole) HoleDone() { h.cache.count.Unuse() }

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
