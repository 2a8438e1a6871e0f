package flavors

import (
	"fmt"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
)

// ExportHole stands in a fragment for the luid of an object of ours. Package broker fills it when it sends the
// fragment: it finds or makes the entry in its table of exports and counts one reference.
type ExportHole struct {
	Core *Core
	// Prefix selects the methods that can be called through the reference.
	Prefix Prefix
	// Perspective is whose reference it will be; nil for a plain Referenceable. Exports are kept per object and
	// perspective.
	Perspective any
	// Caller is the user whose login this is the answer to; nil in most.
	Caller *Caller
	// View is the view that the user sent; nil where an object was sent.
	View *ViewPoint
	// OnRelease is called, in the broker's turn, when the peer has let go of the object; nil in most.
	OnRelease func()
}

// LocalHole stands in a fragment for an object of the peer's own that goes home. Package broker fills in the peer's
// luid. The reference is in use until the fragment is freed: when its owner releases it meanwhile, the peer is told of
// that afterwards.
type LocalHole struct{ Reference *RemoteReference }

// HoleDone implements jelly.HoleUser.
func (h LocalHole) HoleDone() {
	if m := h.Reference.remote; m.name == "" {
		m.count.Unuse()
	}
}

// Target is what the peer knows the object by: a luid, or the name under which it is published.
func (h LocalHole) Target() (luid int64, name string) {
	return h.Reference.remote.id, h.Reference.remote.name
}

// jellyRemote writes [remote luid] with a hole for the luid.
func jellyRemote(e *jelly.Encoder, hole ExportHole) error {
	if hole.Core == nil {
		return InsecureJelly.New("what was to be sent refers to no object: it was not made by its constructor")
	}
	if c, ok := e.Invoker().(BrokerConn); ok {
		if err := hole.Core.UsableIn(c.Runtime()); err != nil {
			return err
		}
	}
	if err := e.List(2); err != nil {
		return err
	}
	e.Symbol(banana.SymRemote)
	e.Hole(hole)
	return nil
}

// jellyLocal writes [local luid] with a hole for the luid.
func jellyLocal(e *jelly.Encoder, hole LocalHole) error {
	if err := e.List(2); err != nil {
		return err
	}
	e.Symbol(banana.SymLocal)
	if m := hole.Reference.remote; m.name == "" && !m.count.Use() {
		return fmt.Errorf("%v was released before it was sent: %w", hole.Reference, DeadReference.Wrap(ErrReleased))
	}
	e.Hole(hole)
	return nil
}
