package main

import (
	"sync"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/flavors"
)

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
