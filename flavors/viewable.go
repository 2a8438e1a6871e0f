package flavors

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/seam"
	"github.com/perspectivebroker/pb/supervision"
)

// Viewable makes the struct that embeds it an object whose methods get the caller's perspective. It is sent by
// reference, like a [Referenceable], but each user gets a reference of their own: a call of draw runs ViewDraw with the
// caller's perspective as the first argument.
//
//	type Board struct {
//		flavors.Viewable
//	}
//
//	func (b *Board) ViewDraw(player *Player, x, y int) { … }
//
// The perspective is the avatar of the user to whom the reference was sent. A peer cannot forge it, because it can only
// name what it was sent. If the perspective is not of the parameter's type, the call fails and the method does not run.
// The same holds for a call without a perspective (nobody has logged in), unless the parameter is an any. A reference
// that the peer sends back arrives as a [ViewPoint].
type Viewable struct{ anchor }

func (*Viewable) branch() supervision.Branch { return supervision.Objects }
func (*Viewable) prefix() Prefix             { return PrefixView }

// Do runs f in the object's turn, as [Referenceable.Do] does.
func (v *Viewable) Do(f func()) *actor.Deferred { return v.doAnchored(f) }

// JellyTo writes the reference of the user for whom it is encoded. Package jelly calls it.
func (*Viewable) JellyTo(e *jelly.Encoder, self any) error {
	core, err := coreToSend(e, self)
	if err != nil {
		return err
	}
	return jellyRemote(e, seam.Export{Core: core, Prefix: string(PrefixView), Perspective: e.Viewer()})
}

// ViewPoint is an object under a perspective. Sending a [Viewable] makes one; [NewViewPoint] makes one of any object,
// including an avatar, under any perspective.
//
// When a peer sends a view back, in an argument, an answer, an update or the state of a copy, a *ViewPoint arrives,
// never the object. It is the pointer that was sent; if a Viewable or an avatar was sent, it is one made for the
// connection. It can be kept, compared with [ViewPoint.Equal], and sent over any connection, where it is the same view.
// A parameter for views has the type *ViewPoint or any.
type ViewPoint struct {
	prefix      Prefix
	perspective any
	core        *objectCore
}

// NewViewPoint returns a view of an object, a pointer to a struct that embeds a flavor. The object's View… methods
// are called with the perspective, which must be comparable. It may be nil for methods that take an any; see
// [Viewable].
func NewViewPoint(perspective, object any) (*ViewPoint, error) {
	if perspective != nil && !reflect.ValueOf(perspective).Comparable() {
		return nil, fmt.Errorf("flavors: a perspective must be comparable; %T is not", perspective)
	}
	core, err := coreOf(object)
	if err != nil {
		return nil, err
	}
	if _, err := methodsFor(reflect.TypeOf(object), PrefixView); err != nil {
		return nil, err
	}
	return &ViewPoint{prefix: PrefixView, perspective: perspective, core: core}, nil
}

// Object returns the object that the view shows. The object itself, if it is sent, is not restricted to the view.
func (v *ViewPoint) Object() any {
	if v == nil || v.core == nil {
		return nil
	}
	return v.core.Value()
}

// Perspective returns the perspective with which the object's methods are called. For an avatar's reference that was
// sent back, it is the avatar.
func (v *ViewPoint) Perspective() any {
	if v == nil {
		return nil
	}
	return v.perspective
}

// Equal reports whether two views have the same object, perspective and methods.
func (v *ViewPoint) Equal(other *ViewPoint) bool {
	if v == nil || other == nil {
		return v == other
	}
	return *v == *other
}

// String names the view in logs.
func (v *ViewPoint) String() string {
	if v == nil || v.core == nil {
		return "<no view>"
	}
	return "<view of " + v.core.typeName() + ">"
}

// JellyTo writes the reference. Package jelly calls it.
func (v *ViewPoint) JellyTo(e *jelly.Encoder, _ any) error {
	if v == nil {
		return e.Value(nil)
	}
	return jellyRemote(e, v.hole())
}

func (v *ViewPoint) hole() seam.Export {
	return seam.Export{Core: v.core, Prefix: string(v.prefix), Perspective: v.perspective, View: v}
}

// exportOf returns the export of a value that is published or is the answer to a login: an object with its own methods,
// or a view.
func exportOf(v any) (seam.Export, error) {
	if view, ok := v.(*ViewPoint); ok {
		if view == nil || view.core == nil {
			return seam.Export{}, errors.New("flavors: a ViewPoint that is nil or was not made by NewViewPoint cannot be sent")
		}
		return view.hole(), nil
	}
	if x, ok := v.(relayed); ok {
		core, err := x.relayedCore(v)
		if err != nil {
			return seam.Export{}, err
		}
		return seam.Export{Core: core, Prefix: string(PrefixRemote)}, nil
	}
	core, err := coreOf(v)
	if err != nil {
		return seam.Export{}, err
	}
	return seam.Export{Core: core, Prefix: string(v.(anchored).prefix())}, nil
}

// errTakeView is added to the error for a view that does not fit a parameter.
const errTakeView = "a view that is sent back is not its object: take a *flavors.ViewPoint and call its Object method"

// explainView adds errTakeView to an error about a view in the place of an object.
func explainView(err error) error {
	if bad := (*jelly.AssignError)(nil); errors.As(err, &bad) && bad.Source == "*flavors.ViewPoint" {
		bad.Why = errTakeView
	}
	return err
}
