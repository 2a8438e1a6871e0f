package replica

import (
	"iter"
	"maps"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/flavors"
)

// Map is a map that peers follow. It is sent like any [flavors.Cacheable]: return it from a method or pass it to a
// call. All methods may be called from any goroutine. The zero Map works, but cannot be sent: it has no class.
//
// Keys and values must be of types that can be sent. A value must not be changed after it was set, because it is
// encoded later, and once more for each new follower.
type Map[K comparable, V any] struct {
	original
	items map[K]V // what readers see; guarded by original.mu
	sent  map[K]V // what the followers were told; changed in the turn only
}

// NewMap returns an empty map of a class. The followers register the same class. A stock peer's class is the dotted
// name given to setUnjellyableForClass.
func NewMap[K comparable, V any](class string) *Map[K, V] {
	return &Map[K, V]{original: original{class: class}}
}

// Set sets the value of a key. Readers of this program see it when Set returns. The Deferred completes when the update
// was given to the connections of all followers, so that a method which returns it is answered after the update. It
// fails with what kept the update from being sent.
func (m *Map[K, V]) Set(key K, value V) *actor.Deferred {
	if m == nil {
		return actor.Failed(errNilOriginal)
	}
	if key != key { // NaN
		return actor.Failed(errNaNKey)
	}
	m.mu.Lock()
	put(&m.items, key, value)
	c := m.put(func() { put(&m.sent, key, value) }, "set", key, value)
	m.mu.Unlock()
	return m.send(c, m.update)
}

func put[K comparable, V any](m *map[K]V, key K, value V) {
	if *m == nil {
		*m = map[K]V{}
	}
	(*m)[key] = value
}

// Delete removes a key; see [Map.Set] for the Deferred. Followers are told only if the map has the key.
func (m *Map[K, V]) Delete(key K) *actor.Deferred {
	if m == nil {
		return actor.Failed(errNilOriginal)
	}
	m.mu.Lock()
	method := "delete"
	if _, ok := m.items[key]; !ok {
		method = ""
	}
	delete(m.items, key)
	c := m.put(func() { delete(m.sent, key) }, method, key)
	m.mu.Unlock()
	return m.send(c, m.update)
}

// Replace replaces all entries by those of items in one update. It keeps a copy of items. See [Map.Set] for the
// Deferred.
func (m *Map[K, V]) Replace(items map[K]V) *actor.Deferred {
	if m == nil {
		return actor.Failed(errNilOriginal)
	}
	for key := range items {
		if key != key { // NaN
			return actor.Failed(errNaNKey)
		}
	}
	kept, sent := copyOf(items), copyOf(items)
	m.mu.Lock()
	m.items = kept
	// The update is encoded before the turn applies another change to sent.
	c := m.put(func() { m.sent = sent }, "replace", sent)
	m.mu.Unlock()
	return m.send(c, m.update)
}

// copyOf is maps.Clone, but never nil, which would be sent as None.
func copyOf[K comparable, V any](m map[K]V) map[K]V {
	c := make(map[K]V, len(m))
	maps.Copy(c, m)
	return c
}

func (m *Map[K, V]) update(f func(flavors.Observers)) *actor.Deferred {
	return flavors.Update(m, func(observers flavors.Observers) {
		if m.recover() {
			_ = observers.CallRemote("replace", m.sent)
		}
		f(observers)
	})
}

// recover takes over what readers see if changes were lost. It is for the turn.
func (m *Map[K, V]) recover() bool { return m.restore(func() { m.sent = copyOf(m.items) }) }

// Get returns the value of a key, and whether the map has the key.
func (m *Map[K, V]) Get(key K) (value V, ok bool) {
	if m == nil {
		return value, false
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	value, ok = m.items[key]
	return value, ok
}

// Len returns the number of keys.
func (m *Map[K, V]) Len() int {
	if m == nil {
		return 0
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.items)
}

// All ranges over the entries that the map has when the loop begins, in no order.
func (m *Map[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		if m == nil {
			return
		}
		m.mu.RLock()
		items := maps.Clone(m.items)
		m.mu.RUnlock()
		maps.All(items)(yield)
	}
}

// StateToCacheAndObserveFor returns the state for a new follower. Package flavors calls it.
func (m *Map[K, V]) StateToCacheAndObserveFor(any, *flavors.Observer) any {
	m.recover()
	if m.sent == nil {
		m.sent = map[K]V{}
	}
	return map[string]any{"items": m.sent}
}
