package conformance

import (
	"bytes"
	"slices"
	"sync"

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

// ponds are the process's ponds by name.
type ponds struct {
	mu     sync.Mutex
	byName map[string]*Pond
}

// make returns the pond of that name. It creates it with items if needed.
func (ps *ponds) make(name string, items []any) *Pond {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if p := ps.byName[name]; p != nil {
		return p
	}
	if ps.byName == nil {
		ps.byName = map[string]*Pond{}
	}
	p := &Pond{items: items}
	ps.byName[name] = p
	return p
}

func (ps *ponds) find(name string) (*Pond, error) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if p := ps.byName[name]; p != nil {
		return p, nil
	}
	return nil, flavors.KeyError.Errorf("there is no pond %q", name)
}

// RemotePond returns the pond of that name, which the caller then observes.
func (c *Conformance) RemotePond(name string, items []any) *Pond {
	return c.server.ponds.make(name, items)
}

// RemotePondAdd adds an item to a pond.
func (c *Conformance) RemotePondAdd(inv *flavors.Invocation, name string, item any) (*actor.Deferred, error) {
	p, err := c.server.ponds.find(name)
	if err != nil {
		return nil, err
	}
	return p.Add(inv, item), nil
}

// RemotePondRemove removes an item from a pond.
func (c *Conformance) RemotePondRemove(inv *flavors.Invocation, name string, item any) (*actor.Deferred, error) {
	p, err := c.server.ponds.find(name)
	if err != nil {
		return nil, err
	}
	return p.Remove(inv, item), nil
}

// RemotePondObservers returns the number of connections that observe a pond.
func (c *Conformance) RemotePondObservers(inv *flavors.Invocation, name string) (*actor.Deferred, error) {
	p, err := c.server.ponds.find(name)
	if err != nil {
		return nil, err
	}
	return p.Count(inv), nil
}

// RemotePond is the cache of a peer's pond. Its updates run one at a time, in its own actor.
type RemotePond struct {
	flavors.RemoteCache
	items []any
}

// SetCopyableState sets the initial list.
func (p *RemotePond) SetCopyableState(state any) error { return jelly.Assign(&p.items, state) }

// ObserveAdd handles the update add.
func (p *RemotePond) ObserveAdd(item any) { p.items = append(p.items, item) }

// ObserveRemove handles the update remove.
func (p *RemotePond) ObserveRemove(item any) error {
	i := indexOf(p.items, item)
	if i < 0 {
		return flavors.ValueError.Errorf("this item is not in the pond")
	}
	p.items = slices.Delete(p.items, i, i+1)
	return nil
}

// RemoteTakePond observes one of the peer's ponds in place of the previous one.
func (c *Conformance) RemoteTakePond(p *flavors.Cached[RemotePond]) error {
	if p == nil {
		return flavors.TypeError.Errorf("None is no Pond")
	}
	c.RemoteIgnorePond()
	c.pond = p
	return nil
}

// RemotePondState returns the cache's items. Updates that were sent before the call are included.
func (c *Conformance) RemotePondState(inv *flavors.Invocation) (*actor.Deferred, error) {
	if c.pond == nil {
		return nil, errNoPond
	}
	var items []any
	return c.pond.Do(func(p *RemotePond) { items = slices.Clone(p.items) }).
		Then(inv, func(_ any, err error) (any, error) { return items, err }), nil
}

// RemoteReturnPond returns the cache: the peer gets its original.
func (c *Conformance) RemoteReturnPond() (*flavors.Cached[RemotePond], error) {
	if c.pond == nil {
		return nil, errNoPond
	}
	return c.pond, nil
}

// RemoteIgnorePond releases the cache at once.
func (c *Conformance) RemoteIgnorePond() {
	if c.pond != nil {
		c.pond.Release()
		c.pond = nil
	}
}

var errNoPond = flavors.ValueError.New("no pond was taken")
