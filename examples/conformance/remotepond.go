package main

import (
	"slices"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

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
