package main

import (
	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/flavors"
)

// RemoteCallback calls a method of the peer's object. Its result, or its failure, becomes that of this call.
func (*Conformance) RemoteCallback(ref *flavors.RemoteReference, method string, args []any) *actor.Deferred {
	return ref.CallRemote(method, args...)
}

// RemoteHold keeps a reference under a key, in the place of the one that was there.
func (c *Conformance) RemoteHold(key string, ref any) {
	c.letGo(key)
	c.held[key] = ref
}

// RemoteHeld answers with what is kept under a key.
func (c *Conformance) RemoteHeld(key string) (any, error) {
	ref, ok := c.held[key]
	if !ok {
		return nil, flavors.KeyError.Errorf("nothing is held as %q", key)
	}
	return ref, nil
}

// RemoteRelease lets go of what is kept under a key; the peer is told at once.
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
