package flavors

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/supervision"
)

// RemoteCache makes the struct that embeds it the local copy of a peer's Cacheable. Its Observe… methods are the updates: addDuck on
// the wire is ObserveAddDuck. They run in the copy's own actor. Its state is set before anybody sees it: the fields with a pb tag,
// or whatever a method SetCopyableState makes of it.
//
// A struct becomes the copy of a class by [RegisterCache]; what methods receive, and applications hold, is a *[Cached] of it.
type RemoteCache struct {
	anchor
	times cacheTimes
}

// cacheTimes says how fresh a copy is, in nanoseconds since the Unix epoch.
type cacheTimes struct{ updated, stale atomic.Int64 }

// stop notes that no more updates will come. The first time counts.
func (t *cacheTimes) stop() { t.stale.CompareAndSwap(0, time.Now().UnixNano()) }

func (*RemoteCache) branch() supervision.Branch { return supervision.Objects }
func (*RemoteCache) prefix() Prefix             { return PrefixObserve }

func (c *RemoteCache) freshness() *cacheTimes { return &c.times }

// remoteCache is how the package recognises what embeds a RemoteCache.
type remoteCache interface {
	anchored
	freshness() *cacheTimes
}

// RegisterCache lets originals of a class be cached here, as T, a struct that embeds RemoteCache.
//
//	err := flavors.RegisterCache[RemotePond](registry, "cache_classes.MasterDuckPond")
func RegisterCache[T any, P interface {
	*T
	remoteCache
}](r *jelly.Registry, class string) error {
	return RegisterCacheFactory(r, class, func() P { return new(T) })
}

// RegisterCacheFactory is [RegisterCache] for values that a function makes, a new one each time.
func RegisterCacheFactory[T any, P interface {
	*T
	remoteCache
}](r *jelly.Registry, class string, blank func() P) error {
	if _, err := CoreOf(blank()); err != nil {
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

// CacheBlank is a copy that waits for its state. Package broker gets it from the registry when an original comes for the first time.
type CacheBlank struct {
	value remoteCache
	local *LocalCache
}

// Attach ties the copy to the connection on which its original came, and gives the entry for the broker's table.
func (b *CacheBlank) Attach(conn Conn, luid int64) (*LocalCache, error) {
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
	conn Conn
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

// Disconnected ends the entry, with its connection or because the original's side has forgotten it: from now on the copy is stale, and
// can be read as long as it is held.
func (l *LocalCache) Disconnected() {
	if c, ok := l.core.Value().(remoteCache); ok {
		c.freshness().stop()
	}
	l.core.Release()
}

// updated notes the time of an update, in the copy's turn.
func (c *Core) updated() {
	if r, ok := c.Value().(remoteCache); ok {
		r.freshness().updated.Store(time.Now().UnixNano())
	}
}
