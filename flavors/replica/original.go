package replica

import (
	"errors"
	"fmt"
	"sync"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

var (
	errNilOriginal = errors.New("replica: the original is nil: make it with NewMap or NewValue")
	errNaNKey      = errors.New("replica: NaN cannot be the key of a map: no lookup would find it")
)

// original is the part that Map and Value share. A change is made in two steps: at once for readers of this program,
// and in the turn of the original's actor for the state that is sent and for the followers. So the state never has a
// change whose update is still to come.
type original struct {
	flavors.Cacheable
	class string

	mu sync.RWMutex
	// Guarded by mu.
	pending []*change // made, but not told
	lost    bool      // the actor had stopped: changes were not told, because there was nobody to tell
}

// change is one change that the followers are told by an update.
type change struct {
	apply  func() // to the state that is sent
	method string // "" if there is nothing to tell
	args   []any
	err    error // set in the turn
}

// TypeToCopy returns the class.
func (o *original) TypeToCopy() string { return o.class }

// JellyTo writes the original as [flavors.Cacheable] does. Package jelly calls it.
func (o *original) JellyTo(e *jelly.Encoder, self any) error {
	if o.class == "" && !e.IsCopy(self) {
		return &jelly.InsecureJellyError{What: fmt.Sprintf(
			"this %s has no class: make it with NewMap or NewValue of package replica, and name the class", nameOf(self))}
	}
	return o.Cacheable.JellyTo(e, self)
}

// put notes a change. The caller holds mu.
func (o *original) put(apply func(), method string, args ...any) *change {
	c := &change{apply: apply, method: method, args: args}
	o.pending = append(o.pending, c)
	return c
}

// send tells the followers of a change that put has noted. update is flavors.Update of the outer struct. The caller
// does not hold mu, because the turn may run on this goroutine, with functions of other goroutines before and behind
// it.
func (o *original) send(c *change, update func(func(flavors.Observers)) *actor.Deferred) *actor.Deferred {
	result := new(actor.Deferred)
	update(o.tell).OnComplete(func(_ any, err error) {
		if err != nil {
			o.mu.Lock()
			o.pending, o.lost = nil, true
			o.mu.Unlock()
		} else {
			err = c.err
		}
		result.Complete(nil, err)
	})
	return result
}

// tell carries out in the turn what is pending. Changes are told in the order in which they were made, whichever turn
// comes first.
func (o *original) tell(observers flavors.Observers) {
	for _, c := range o.take() {
		c.apply()
		if c.method != "" {
			c.err = observers.CallRemote(c.method, c.args...)
		}
	}
}

func (o *original) take() []*change {
	o.mu.Lock()
	defer o.mu.Unlock()
	pending := o.pending
	o.pending = nil
	return pending
}

// restore calls f, which takes over the present state, if changes were lost, and reports whether it did. It is for the
// turn.
func (o *original) restore(f func()) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.lost {
		return false
	}
	o.lost, o.pending = false, nil
	f()
	return true
}
