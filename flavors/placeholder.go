package flavors

import (
	"fmt"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/seam"
)

// localHole implements seam.Home.
type localHole struct{ ref *RemoteReference }

// HoleDone implements jelly.HoleUser.
func (h localHole) HoleDone() {
	if m := h.ref.remote; m.name == "" {
		m.count.Unuse()
	}
}

// Target implements seam.Home.
func (h localHole) Target() (luid int64, name string) {
	return h.ref.remote.id, h.ref.remote.name
}

// jellyRemote writes a reference to an object of ours, with a placeholder for the luid.
func jellyRemote(e *jelly.Encoder, hole seam.Export) error {
	if hole.Core == nil {
		return InsecureJelly.New("the value refers to no object: it was not made by its constructor")
	}
	if c, ok := e.Invoker().(seam.Conn); ok {
		if err := hole.Core.UsableIn(c.Runtime()); err != nil {
			return err
		}
	}
	return writeReference(e, hole)
}

// jellyLocal writes [local luid] with a placeholder for the luid.
func jellyLocal(e *jelly.Encoder, hole localHole) error {
	if err := e.List(2); err != nil {
		return err
	}
	e.Symbol(banana.SymLocal)
	if m := hole.ref.remote; m.name == "" && !m.count.Use() {
		return fmt.Errorf("%v was released before it was sent: %w", hole.ref, DeadReference.Wrap(ErrReleased))
	}
	e.Hole(hole)
	return nil
}
