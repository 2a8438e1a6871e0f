package replica

import (
	"context"
	"iter"
	"reflect"
	"runtime"
	"sync"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// ValueCopy is the local copy of a peer's value. [RegisterValue] registers it, and [ValueOf] makes the handle for
// reading it of the *flavors.Cached[ValueCopy[T]] that a method receives.
type ValueCopy[T any] struct {
	flavors.RemoteCache
	stale sync.Once // the end of the copy is awaited

	mu sync.Mutex
	// Guarded by mu.
	value    T
	version  uint64
	watchers watchers
}

// RegisterValue registers a class of values for a connection, see broker.WithRegistry. Received values are converted
// to T as arguments of methods are.
func RegisterValue[T any](r *jelly.Registry, class string) error {
	return flavors.RegisterCache[ValueCopy[T]](r, class)
}

// SetCopyableState sets the first state. Package jelly calls it.
func (c *ValueCopy[T]) SetCopyableState(state any) error {
	var s struct {
		Value T `pb:"value"`
	}
	if err := jelly.Assign(&s, state); err != nil {
		return err
	}
	c.ObserveSet(s.Value)
	return nil
}

// ObserveSet sets the value. The peer calls it.
func (c *ValueCopy[T]) ObserveSet(value T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.value = value
	c.version++
	c.watchers.wake()
}

func (c *ValueCopy[T]) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watchers.end()
}

func (c *ValueCopy[T]) now() (value T, version uint64, ended bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.value, c.version, c.watchers.ended
}

func (c *ValueCopy[T]) watch() *watcher {
	w := newWatcher()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watchers.add(&w)
	return &w
}

func (c *ValueCopy[T]) unwatch(w *watcher) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.watchers.all, w)
}

// RemoteValue is a handle on the local copy of a peer's value. The peer sends updates while the handle is held: until
// Release, or until it is garbage collected. All methods may be called from any goroutine.
type RemoteValue[T any] struct {
	cached *flavors.Cached[ValueCopy[T]]
	copy   *ValueCopy[T]
	ended  released
}

// FollowValue calls a method of the peer's object that returns a [Value], and returns a handle on its copy. The class
// of the value must have been registered by [RegisterValue] with the same type.
func FollowValue[T any](
	ctx context.Context, r *flavors.RemoteReference, method string, args ...any,
) (*RemoteValue[T], error) {
	wanted := "Value" + typeArguments(reflect.TypeFor[T]())
	cached, err := fetch[ValueCopy[T]](ctx, r, wanted, method, args...)
	if err != nil {
		return nil, err
	}
	return ValueOf(cached)
}

// ValueOf returns a handle on a copy that was received, for example as the argument of a method. It takes over the
// receipt: release the handle rather than cached.
func ValueOf[T any](cached *flavors.Cached[ValueCopy[T]]) (*RemoteValue[T], error) {
	v := &RemoteValue[T]{cached: cached, ended: released{c: make(chan struct{})}}
	if err := cached.View(func(c *ValueCopy[T]) { v.copy = c }); err != nil {
		return nil, err
	}
	copied := v.copy // The function must not keep the handle alive.
	copied.stale.Do(func() { cached.WhenStale().OnComplete(func(any, error) { copied.end() }) })
	return v, nil
}

// Get returns the value, after the updates that have arrived before. It is shared with other readers and must not be
// changed.
func (v *RemoteValue[T]) Get() (value T) {
	if v == nil || v.copy == nil {
		return value
	}
	_ = v.cached.View(func(*ValueCopy[T]) {}) // A copy that was released keeps its value.
	value, _, _ = v.copy.now()
	return value
}

// Changes yields the value that the copy has when the loop begins, and then each later one. A loop that is slower than
// the peer skips values. The loop ends with ctx, with the release of the handle, and when the copy is stale, after the
// last value.
func (v *RemoteValue[T]) Changes(ctx context.Context) iter.Seq[T] {
	return func(yield func(T) bool) {
		if v == nil || v.copy == nil || ctx == nil {
			return
		}
		w := v.copy.watch()
		defer v.copy.unwatch(w)
		var seen uint64
		for ctx.Err() == nil {
			value, version, ended := v.copy.now()
			if version != seen {
				seen = version
				if !yield(value) {
					break
				}
				continue
			}
			if ended || !w.wait(ctx, v.ended.c) {
				break
			}
		}
		runtime.KeepAlive(v)
	}
}

// Stale reports whether the copy no longer follows its original, and since when; see [flavors.Cached.Stale]. It keeps
// its last value.
func (v *RemoteValue[T]) Stale() (since time.Time, stale bool) { return v.Cached().Stale() }

// Err returns why the copy is stale; nil if it is not.
func (v *RemoteValue[T]) Err() error {
	if v == nil {
		return errNilHandle
	}
	return v.cached.Err()
}

// WhenStale returns a Deferred that fails with [RemoteValue.Err] once the copy is stale.
func (v *RemoteValue[T]) WhenStale() *actor.Deferred { return v.Cached().WhenStale() }

// Cached returns the underlying handle. It can be sent to the peer, for which it is the original.
func (v *RemoteValue[T]) Cached() *flavors.Cached[ValueCopy[T]] {
	if v == nil {
		return nil
	}
	return v.cached
}

// Release ends the handle. With the last one of a copy the peer is told to stop sending updates. The value can still
// be read.
func (v *RemoteValue[T]) Release() {
	if v == nil || v.copy == nil {
		return
	}
	v.ended.once.Do(func() {
		close(v.ended.c)
		v.cached.Release()
	})
}
