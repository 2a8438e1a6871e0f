package flavors

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"time"
	"weak"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/seam"
	"github.com/perspectivebroker/pb/internal/usercode"
	"github.com/perspectivebroker/pb/supervision"
)

// Cached is a handle on the local copy of a peer's [Cacheable]. Receiving the original makes it. While the handle is
// held, receiving the same original over the same connection yields the same handle. The peer sends updates until the
// handle is released by [Cached.Release] or by the last linked actor (see [Link]), or is garbage collected.
//
// Sent back over its connection, it stands for the original. It cannot be sent over another connection.
type Cached[T any] struct {
	cache *cacheHandle
}

// cacheHandle is the part of a handle that outlives it, so it must not point to it.
type cacheHandle struct {
	count seam.Refcount
	conn  seam.Conn
	luid  int64
	core  *objectCore
}

// localHandle is the handle of a localCache, if there is one. Only the broker's turn uses it.
type localHandle[T any] struct {
	known weak.Pointer[Cached[T]]
	cache *cacheHandle // nil before the first handle
}

func newLocalCache[T any]() *localCache { return &localCache{handle: &localHandle[T]{}} }

// receive returns the handle and counts one more receipt.
func (s *localHandle[T]) receive(l *localCache) seam.Handle {
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

// View calls f with the copy in the copy's turn, that is between two updates, and returns when f has returned. In a
// method that the peer called, View sees the updates that the peer sent before the call. f must not keep the pointer
// and must not block. The copy's own methods run in its turn already and must not call View. After the connection has
// ended, the copy can still be viewed. View fails if the copy was released or has stopped, or if f panicked.
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

// Do is like [Cached.View] but does not wait. The Deferred completes when f has returned.
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

// LastUpdate returns the time of the last update, or of the first state if there was none.
func (c *Cached[T]) LastUpdate() time.Time {
	if !c.isMade() {
		return time.Time{}
	}
	return time.Unix(0, c.times().updated.Load())
}

// Stale reports whether the copy no longer follows its original, and since when: the connection has ended, an update
// could not be applied, or the application stopped the copy's actor. The copy keeps its last state.
func (c *Cached[T]) Stale() (since time.Time, stale bool) {
	if !c.isMade() {
		return time.Time{}, true
	}
	if t := c.times().stale.Load(); t != 0 {
		return time.Unix(0, t), true
	}
	if context.Cause(c.cache.conn.Context()) != nil {
		return time.Now(), true // The broker has not marked it yet.
	}
	return time.Time{}, false
}

// Err returns why the copy is stale; nil if it is not.
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

// WhenStale returns a Deferred that fails with [Cached.Err] once the copy is stale. To replace a copy that is stale
// because of an update, release all receipts of it and ask the peer for the original again.
//
//	pond.WhenStale().OnComplete(func(_ any, err error) { … })
func (c *Cached[T]) WhenStale() *actor.Deferred {
	if !c.isMade() {
		return actor.Failed(errNoCache)
	}
	return c.times().whenStale(c.runtime())
}

var (
	// errNoCache is the error of all methods of a nil handle.
	errNoCache = DeadReference.New(
		"the handle on a cache is nil: nothing was received, or it was not made by receiving something",
	)
)

func (c *Cached[T]) isMade() bool { return c != nil && c.cache != nil }

// copied returns the copy's struct; nil if there is none.
func (c *Cached[T]) copied() any {
	if !c.isMade() {
		return nil
	}
	return c.cache.core.Value()
}

func (c *Cached[T]) times() *cacheTimes { return c.cache.core.Value().(RemoteCacher).freshness() }

// Conn returns the connection on which the original came.
func (c *Cached[T]) Conn() Conn {
	if !c.isMade() {
		return nil
	}
	return publicConn(c.cache.conn)
}

// Release undoes one receipt of the original. With the last one the handle is dead and the peer is told to stop sending
// updates, after all messages given to the connection before that mention the handle.
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

// GoString implements fmt.GoStringer. It is String, because %#v would race with other goroutines.
func (c *Cached[T]) GoString() string { return c.String() }

func (c *Cached[T]) runtime() *actor.Runtime {
	if !c.isMade() {
		return nil
	}
	return c.cache.conn.Runtime()
}
func (c *Cached[T]) link()   { c.cache.count.Link() }
func (c *Cached[T]) unlink() { c.cache.release((*seam.Refcount).Unlink) }

// JellyTo writes [lcache luid], which stands for the original.
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
	e.Hole(originalHole{c.cache})
	e.Keep(c)
	return nil
}

// originalHole implements seam.CacheHome.
type originalHole struct{ cache *cacheHandle }

// CacheLuid implements seam.CacheHome.
func (h originalHole) CacheLuid() int64 { return h.cache.luid }

// HoleDone implements jelly.HoleUser.
func (h originalHole) HoleDone() { h.cache.count.Unuse() }

// RemoteCache makes the struct that embeds it a local copy of a peer's [Cacheable]. An update calls one of its
// Observe… methods, in the copy's own actor: addDuck on the wire is ObserveAddDuck. The state fills the fields with a
// pb tag, or is passed to the struct's SetCopyableState method, before the copy is used.
//
// An update makes the copy stale if there is no such Observe… method, if the arguments do not fit, are refused or
// cannot be decoded, or if the method panics or returns an error. That is logged as a warning, and [Cached.WhenStale]
// reports it. Later updates are still applied.
//
// A struct cannot embed a [Cacheable] as well. To pass on what a copy follows, let it change an original in a field;
// see the example.
//
// [RegisterCache] makes a struct the copy of a class. Methods receive and applications hold a *[Cached] of it.
type RemoteCache struct {
	anchor
	times cacheTimes
}

func (*RemoteCache) branch() supervision.Branch { return supervision.Objects }
func (*RemoteCache) prefix() Prefix             { return PrefixObserve }

// JellyTo fails. A *[Cached] can be sent in its place.
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

// RegisterCache registers T, a struct that embeds [RemoteCache], for local copies of originals of a class.
//
//	err := flavors.RegisterCache[RemotePond](registry, "cache_classes.MasterDuckPond")
func RegisterCache[T any, P interface {
	*T
	RemoteCacher
}](r *jelly.Registry, class string) error {
	return RegisterCacheFactory(r, class, func() P { return new(T) })
}

// RegisterCacheFactory is like [RegisterCache], but calls blank for each new copy.
func RegisterCacheFactory[T any, P interface {
	*T
	RemoteCacher
}](r *jelly.Registry, class string, blank func() P) error {
	if blank == nil {
		return fmt.Errorf("flavors: registering %q: the function that makes blank caches is nil", class)
	}
	var err error
	if p := usercode.Do(func() { _, err = coreOf(blank()) }); p != nil {
		return fmt.Errorf(
			"flavors: registering %q: the function that makes blank caches panicked: %s",
			class,
			usercode.PanicText(p.Value),
		)
	}
	if err != nil {
		return err
	}
	if err := badTags(reflect.TypeFor[T]()); err != nil {
		return fmt.Errorf("flavors: registering %q: %w", class, err)
	}
	entry := jelly.ClassEntry{Kind: jelly.RemoteCache, New: func() any {
		value := blank()
		return &cacheBlank{value: value, local: newLocalCache[T]()}
	}}
	if err := r.Register(class, entry); err != nil {
		return fmt.Errorf("flavors: %w", err)
	}
	return nil
}

// cacheBlank is a copy without its state. Package broker gets it from the registry when an original comes for the first
// time.
type cacheBlank struct {
	value RemoteCacher
	local *localCache
}

// Attach ties the copy to the connection on which its original came and returns the entry for the broker's table.
func (b *cacheBlank) Attach(conn seam.Conn, luid int64) (seam.LocalCache, error) {
	core, err := coreOf(b.value)
	if err != nil {
		return nil, err
	}
	b.local.conn, b.local.luid, b.local.core = conn, luid, core
	core.Hold(conn.Runtime())
	return b.local, nil
}

// StateTarget implements jelly.StateTarget.
func (b *cacheBlank) StateTarget() any {
	b.value.freshness().updated.Store(time.Now().UnixNano())
	return b.value
}

// PostUnjelly implements jelly.PostUnjellier.
func (b *cacheBlank) PostUnjelly() {
	if p, ok := b.value.(jelly.PostUnjellier); ok {
		p.PostUnjelly()
	}
}

// localCache is an entry in the broker's table of local copies. Only the broker's turn uses it.
type localCache struct {
	conn   seam.Conn
	luid   int64
	core   *objectCore
	handle interface {
		receive(*localCache) seam.Handle
		isHeld() bool
		sweep()
	}
}

// Receive returns the *Cached for one more mention of the original.
func (l *localCache) Receive() seam.Handle { return l.handle.receive(l) }

// IsHeld reports whether there is a handle that was not released.
func (l *localCache) IsHeld() bool { return l.handle.isHeld() }

// Sweep releases the handle if it was garbage collected.
func (l *localCache) Sweep() { l.handle.sweep() }

// Deliver passes an update to the copy.
func (l *localCache) Deliver(call seam.Call) { l.core.Deliver(call) }

// Disconnected ends the entry, because the connection has ended or the peer stopped sending updates. The copy becomes
// stale; it can be read while its handle is held.
func (l *localCache) Disconnected() {
	cause := context.Cause(l.conn.Context())
	if cause == nil {
		cause = errForgotten
	}
	l.core.stale(cause)
	l.core.Release()
}

// errForgotten is why a copy is stale to which the peer no longer sends updates.
var errForgotten = errors.New("flavors: the peer no longer sends updates for this copy")

// Expect notes that an update is for the copy, so that a failure to decode it marks the copy as stale.
func (l *localCache) Expect(call seam.Call) { invocationOf(call).core = l.core }
