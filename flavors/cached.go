package flavors

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"
	"weak"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/seam"
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
