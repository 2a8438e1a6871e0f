package broker

import (
	"fmt"

	"github.com/perspectivebroker/pb/flavors"
)

// imports is the handles on the peer's objects that somebody on this side may still hold. It keeps none of them alive:
// a handle that nobody holds is collected, and its receipts are returned by decref. It belongs to the broker actor.
type imports struct {
	handles map[importKey]flavors.WeakReference
	counted int // bytes that the account counts for them
}

const (
	// importSize is what each counts for, roughly what it takes.
	importSize = 512
)

type importKey struct {
	luid        int64
	perspective any
}

func newImports() imports {
	return imports{handles: map[importKey]flavors.WeakReference{}}
}

// receive gives the handle for [remote luid] and notes one receipt. An error says that there are too many; then the
// receipt is not noted.
func (m *imports) receive(c *connection, luid int64, perspective any) (*flavors.RemoteReference, error) {
	key := importKey{luid, perspective}
	last, known := m.handles[key]
	if h := last.Value(); h != nil && h.Received() {
		return h, nil
	}
	if limit := c.account.Imports(); !known && len(m.handles) >= limit {
		return nil, fmt.Errorf("%w: Limits.Imports is %d", ErrTooManyImports, limit)
	}
	h := flavors.NewRemoteReference(c, luid, perspective)
	m.handles[key] = h.Weak()
	m.changed(c)
	return h, nil
}

// forgot drops the entry of a handle that is gone, unless the object has been received again since.
func (m *imports) forgot(c *connection, key importKey) {
	if h := m.handles[key].Value(); h == nil || h.Err() != nil {
		delete(m.handles, key)
		m.changed(c)
	}
}

// changed publishes how many there are, and has them counted.
func (m *imports) changed(c *connection) {
	c.metrics.imports.Store(int64(len(m.handles)))
	size := len(m.handles) * importSize
	c.account.Keep(size - m.counted)
	m.counted = size
}

// clear counts nothing any more, when the connection has ended. Whoever holds a handle holds a dead one.
func (m *imports) clear(c *connection) {
	clear(m.handles)
	m.changed(c)
}
