package main

import (
	"bytes"
	"slices"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// pondClass is the class name of ponds on the wire, in both directions.
const pondClass = "conformance.Pond"

// Pond is a list that peers cache. The pond and its observers are one actor.
type Pond struct {
	flavors.Cacheable
	items []any
}

// TypeToCopy implements the flavor's class name.
func (*Pond) TypeToCopy() string { return pondClass }

// StateToCacheAndObserveFor returns the initial state for a new observer.
func (p *Pond) StateToCacheAndObserveFor(any, *flavors.Observer) any { return p.items }

// Add appends an item to the pond and its caches. The Deferred completes when the update is on its way.
func (p *Pond) Add(inv *flavors.Invocation, item any) *actor.Deferred {
	var err error
	return flavors.Update(p, func(observers flavors.Observers) {
		p.items = append(p.items, item)
		err = observers.CallRemote("add", item)
	}).Then(inv, func(any, error) (any, error) { return nil, err })
}

// Remove removes an item from the pond and its caches.
func (p *Pond) Remove(inv *flavors.Invocation, item any) *actor.Deferred {
	var err error
	return flavors.Update(p, func(observers flavors.Observers) {
		i := indexOf(p.items, item)
		if i < 0 {
			err = flavors.ValueError.Errorf("this item is not in the pond")
			return
		}
		p.items = slices.Delete(p.items, i, i+1)
		err = observers.CallRemote("remove", item)
	}).Then(inv, func(any, error) (any, error) { return nil, err })
}

// Count returns the number of connections that observe the pond.
func (p *Pond) Count(inv *flavors.Invocation) *actor.Deferred {
	n := 0
	return flavors.Update(p, func(observers flavors.Observers) { n = observers.Len() }).
		Then(inv, func(_ any, err error) (any, error) { return n, err })
}

// indexOf finds an item by its encoding. The comparison is linear in what was received, even if the parts of an item
// are shared.
func indexOf(items []any, item any) int {
	wanted, err := encoded(item)
	if err != nil {
		return -1
	}
	return slices.IndexFunc(items, func(other any) bool {
		bytesOfOther, err := encoded(other)
		return err == nil && bytes.Equal(wanted, bytesOfOther)
	})
}

func encoded(v any) ([]byte, error) {
	f := jelly.NewFragment(jelly.Context{})
	defer f.Free()
	if err := f.Jelly(v); err != nil {
		return nil, err
	}
	return f.Append(nil, nil)
}
