package replica

import (
	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/flavors"
)

// Value is a value that peers follow. It is sent like any [flavors.Cacheable]. All methods may be called from any
// goroutine. The zero Value works, but cannot be sent: it has no class.
//
// T must be a type that can be sent. A value must not be changed after it was set.
type Value[T any] struct {
	original
	value T // what readers see; guarded by original.mu
	sent  T // what the followers were told; changed in the turn only
}

// NewValue returns an original of a class that begins with value.
func NewValue[T any](class string, value T) *Value[T] {
	return &Value[T]{original: original{class: class}, value: value, sent: value}
}

// Set sets the value. Readers of this program see it when Set returns. The Deferred completes when the update was
// given to the connections of all followers, and fails with what kept the update from being sent.
func (v *Value[T]) Set(value T) *actor.Deferred {
	if v == nil {
		return actor.Failed(errNilOriginal)
	}
	v.mu.Lock()
	v.value = value
	c := v.put(func() { v.sent = value }, "set", value)
	v.mu.Unlock()
	return v.send(c, v.update)
}

func (v *Value[T]) update(f func(flavors.Observers)) *actor.Deferred {
	return flavors.Update(v, func(observers flavors.Observers) {
		if v.recover() {
			_ = observers.CallRemote("set", v.sent)
		}
		f(observers)
	})
}

// recover takes over what readers see if changes were lost. It is for the turn.
func (v *Value[T]) recover() bool { return v.restore(func() { v.sent = v.value }) }

// Get returns the value.
func (v *Value[T]) Get() (value T) {
	if v == nil {
		return value
	}
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.value
}

// StateToCacheAndObserveFor returns the state for a new follower. Package flavors calls it.
func (v *Value[T]) StateToCacheAndObserveFor(any, *flavors.Observer) any {
	v.recover()
	return map[string]any{"value": v.sent}
}
