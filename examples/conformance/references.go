package main

import (
	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/flavors"
)

// RemoteCallback calls a method of the peer's object and returns its result or failure.
func (*Conformance) RemoteCallback(ref *flavors.RemoteReference, method string, args []any) *actor.Deferred {
	return ref.CallRemote(method, args...)
}

// RemoteHold keeps a reference under a key. It replaces the previous one.
func (c *Conformance) RemoteHold(key string, ref any) {
	c.letGo(key)
	c.held[key] = ref
}

// RemoteHeld returns the reference that is kept under a key.
func (c *Conformance) RemoteHeld(key string) (any, error) {
	ref, ok := c.held[key]
	if !ok {
		return nil, flavors.KeyError.Errorf("nothing is held as %q", key)
	}
	return ref, nil
}

// RemoteRelease releases the reference that is kept under a key, at once.
func (c *Conformance) RemoteRelease(key string) error {
	if _, err := c.RemoteHeld(key); err != nil {
		return err
	}
	c.letGo(key)
	return nil
}

func (c *Conformance) letGo(key string) {
	if handle, ok := c.held[key].(interface{ Release() }); ok {
		handle.Release()
	}
	delete(c.held, key)
}
