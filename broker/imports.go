package broker

import (
	"weak"

	"github.com/perspectivebroker/pb/flavors"
)

// imports is the handles on the peer's objects that somebody on this side may still hold. It keeps none of them alive: a handle that
// nobody holds is collected, and its receipts are returned by decref. It belongs to the broker actor.
type imports struct {
	handles map[importKey]weak.Pointer[flavors.RemoteReference]
}

type importKey struct {
	luid        int64
	perspective any
}

func newImports() imports {
	return imports{handles: map[importKey]weak.Pointer[flavors.RemoteReference]{}}
}

// receive gives the handle for [remote luid] and notes one receipt.
func (m *imports) receive(c *Conn, luid int64, perspective any) *flavors.RemoteReference {
	key := importKey{luid, perspective}
	if h := m.handles[key].Value(); h != nil && h.Received() {
		return h
	}
	h := flavors.NewRemoteReference(c, luid, perspective)
	m.handles[key] = weak.Make(h)
	c.counters.imports.Store(int64(len(m.handles)))
	return h
}

// forgot drops the entry of a handle that is gone, unless the object has been received again since.
func (m *imports) forgot(key importKey) {
	if h := m.handles[key].Value(); h == nil || h.Err() != nil {
		delete(m.handles, key)
	}
}
