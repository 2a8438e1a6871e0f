package replica

import (
	"context"
	"iter"
	"maps"
	"reflect"
	"runtime"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/flavors"
)

// errNilHandle is the error of all methods of a nil handle.
var errNilHandle = flavors.DeadReference.New("the replica is nil: it was not made by FollowMap or the like")

// Change is one change of a map: the key has the value now, or was deleted.
type Change[K comparable, V any] struct {
	Key     K
	Value   V // zero if Deleted
	Deleted bool
}

// RemoteMap is a handle on the local copy of a peer's map. The peer sends updates while the handle is held: until
// Release, or until it is garbage collected. All methods may be called from any goroutine.
//
// Methods that read wait until the updates that have arrived before are carried out. The values are shared with other
// readers and must not be changed.
type RemoteMap[K comparable, V any] struct {
	cached *flavors.Cached[MapCopy[K, V]]
	copy   *MapCopy[K, V]
	ended  released
}

// FollowMap calls a method of the peer's object that returns a map, and returns a handle on its copy. The class of the
// map must have been registered by [RegisterMap] with the same types.
func FollowMap[K comparable, V any](
	ctx context.Context, r *flavors.RemoteReference, method string, args ...any,
) (*RemoteMap[K, V], error) {
	wanted := "Map" + typeArguments(reflect.TypeFor[K](), reflect.TypeFor[V]())
	cached, err := fetch[MapCopy[K, V]](ctx, r, wanted, method, args...)
	if err != nil {
		return nil, err
	}
	return MapOf(cached)
}

// MapOf returns a handle on a copy that was received, for example as the argument of a method. It takes over the
// receipt: release the handle rather than cached.
func MapOf[K comparable, V any](cached *flavors.Cached[MapCopy[K, V]]) (*RemoteMap[K, V], error) {
	m := &RemoteMap[K, V]{cached: cached, ended: released{c: make(chan struct{})}}
	if err := cached.View(func(c *MapCopy[K, V]) { m.copy = c }); err != nil {
		return nil, err
	}
	copied := m.copy // The function must not keep the handle alive.
	copied.stale.Do(func() { cached.WhenStale().OnComplete(func(any, error) { copied.end() }) })
	return m, nil
}

// read calls f with the copy: behind the updates that have arrived or, if the handle was released, at once.
func (m *RemoteMap[K, V]) read(f func(items map[K]V)) {
	if m == nil || m.copy == nil {
		return
	}
	locked := func(c *MapCopy[K, V]) {
		c.mu.Lock()
		defer c.mu.Unlock()
		f(c.items)
	}
	if m.cached.View(locked) != nil {
		locked(m.copy)
	}
}

// Get returns the value of a key, and whether the map has the key.
func (m *RemoteMap[K, V]) Get(key K) (value V, ok bool) {
	m.read(func(items map[K]V) { value, ok = items[key] })
	return value, ok
}

// Len returns the number of keys.
func (m *RemoteMap[K, V]) Len() (n int) {
	m.read(func(items map[K]V) { n = len(items) })
	return n
}

// All ranges over the entries that the copy has when the loop begins, in no order.
func (m *RemoteMap[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		var now map[K]V
		m.read(func(items map[K]V) { now = maps.Clone(items) })
		maps.All(now)(yield)
	}
}

// Changes yields the entries that the copy has when the loop begins, and then each change. A loop that is slower than
// the peer sees the last change of each key only. The loop ends with ctx, with the release of the handle, and when the
// copy is stale, after the last change.
func (m *RemoteMap[K, V]) Changes(ctx context.Context) iter.Seq[Change[K, V]] {
	return func(yield func(Change[K, V]) bool) {
		if m == nil || m.copy == nil || ctx == nil {
			return
		}
		m.copy.changes(ctx, m.ended.c)(yield)
		runtime.KeepAlive(m)
	}
}

// Stale reports whether the copy no longer follows its original, and since when; see [flavors.Cached.Stale]. It keeps
// its last state.
func (m *RemoteMap[K, V]) Stale() (since time.Time, stale bool) { return m.Cached().Stale() }

// Err returns why the copy is stale; nil if it is not.
func (m *RemoteMap[K, V]) Err() error {
	if m == nil {
		return errNilHandle
	}
	return m.cached.Err()
}

// WhenStale returns a Deferred that fails with [RemoteMap.Err] once the copy is stale.
func (m *RemoteMap[K, V]) WhenStale() *actor.Deferred { return m.Cached().WhenStale() }

// Cached returns the underlying handle. It can be sent to the peer, for which it is the original.
func (m *RemoteMap[K, V]) Cached() *flavors.Cached[MapCopy[K, V]] {
	if m == nil {
		return nil
	}
	return m.cached
}

// Release ends the handle. With the last one of a copy the peer is told to stop sending updates. The entries can still
// be read.
func (m *RemoteMap[K, V]) Release() {
	if m == nil || m.copy == nil {
		return
	}
	m.ended.once.Do(func() {
		close(m.ended.c)
		m.cached.Release()
	})
}

// hashable reports whether a key can be in a map. A K that is an interface may hold something that cannot.
func hashable[K comparable](key K) bool {
	t := reflect.TypeFor[K]()
	if t.Kind() != reflect.Interface && t.Kind() != reflect.Struct && t.Kind() != reflect.Array {
		return true
	}
	return reflect.ValueOf(&key).Elem().Comparable()
}
