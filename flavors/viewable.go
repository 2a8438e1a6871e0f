package flavors

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/supervision"
)

// Viewable makes the struct that embeds it an object whose methods learn who calls. It travels by reference, as a
// [Referenceable] does, but each user is given a reference of his own: a call of draw runs ViewDraw, and the caller's
// perspective is the first argument.
//
//	type Board struct {
//		flavors.Viewable
//	}
//
//	func (b *Board) ViewDraw(player *Player, x, y int) { … }
//
// The perspective is that of the method through which the user was given the reference: the user's avatar. It cannot be
// forged, because a peer can only name what it was sent. A call whose perspective is not of the parameter's type is
// answered with an error and the method does not run; so is a call without a perspective, where nobody has logged in,
// unless the parameter is an any. See [ViewPoint] for what a view is when the peer sends it home.
type Viewable struct{ anchor }

func (*Viewable) branch() supervision.Branch { return supervision.Objects }
func (*Viewable) prefix() Prefix             { return PrefixView }

// Do runs f in the object's turn, as [Referenceable.Do] does.
func (v *Viewable) Do(f func()) *actor.Deferred { return v.doAnchored(f) }

// JellyTo writes the reference for whom it is encoded. It is called by the jelly.
func (*Viewable) JellyTo(e *jelly.Encoder, self any) error {
	core, err := coreToSend(e, self)
	if err != nil {
		return err
	}
	return jellyRemote(e, ExportHole{Core: core, Prefix: PrefixView, Perspective: e.Perspective()})
}

// ViewPoint is an object under a perspective: what a peer reaches through a reference that is more than the object. A
// [Viewable] becomes one by being sent; [NewViewPoint] makes one of any object, an avatar too, under a perspective of
// the maker's choice.
//
// A ViewPoint is also what a view is when the peer sends it home, in an argument, an answer, a keyword, an update or
// the state of a copy. It can be kept, compared and sent on, over any connection, and is the same view there: a method
// never gets the bare object in its place. What comes home is the pointer that was sent, or, where a Viewable or an
// avatar was sent, one that is made for the connection; [ViewPoint.Equal] compares what they show. A parameter that is
// to take views is a *ViewPoint or an any; [ViewPoint.Object] gives the object behind one.
type ViewPoint struct {
	prefix      Prefix
	perspective any
	core        *Core
}

// NewViewPoint makes a view of an object, a pointer to a struct that embeds a flavor, whose View… methods are called
// with this perspective. The perspective may be nil for methods that take an any; see [Viewable].
func NewViewPoint(perspective, object any) (*ViewPoint, error) {
	if perspective != nil && !reflect.ValueOf(perspective).Comparable() {
		return nil, fmt.Errorf("flavors: a perspective is a pointer, or else can be compared; %T cannot", perspective)
	}
	core, err := CoreOf(object)
	if err != nil {
		return nil, err
	}
	if _, err := methodsFor(reflect.TypeOf(object), PrefixView); err != nil {
		return nil, err
	}
	return &ViewPoint{prefix: PrefixView, perspective: perspective, core: core}, nil
}

// ViewOf makes the view that an export of package broker is.
func ViewOf(core *Core, prefix Prefix, perspective any) *ViewPoint {
	return &ViewPoint{prefix: prefix, perspective: perspective, core: core}
}

// Object is the object that the view shows. Sent by itself it is not restricted to the view.
func (v *ViewPoint) Object() any {
	if v == nil || v.core == nil {
		return nil
	}
	return v.core.Value()
}

// Perspective is the one under which the object's methods are called; of an avatar's reference that has come home it is
// the avatar itself.
func (v *ViewPoint) Perspective() any {
	if v == nil {
		return nil
	}
	return v.perspective
}

// Equal reports whether two views show the same object in the same way: to the same perspective, and with the same
// methods.
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

// JellyTo writes the reference. It is called by the jelly.
func (v *ViewPoint) JellyTo(e *jelly.Encoder, _ any) error {
	if v == nil {
		return e.Value(nil)
	}
	return jellyRemote(e, v.hole())
}

func (v *ViewPoint) hole() ExportHole {
	return ExportHole{Core: v.core, Prefix: v.prefix, Perspective: v.perspective, View: v}
}

// ExportOf says how a value is published, or given as the answer to a login: an object by its own methods, a view as
// the view that it is.
func ExportOf(v any) (ExportHole, error) {
	if view, ok := v.(*ViewPoint); ok {
		if view == nil || view.core == nil {
			return ExportHole{}, errors.New("flavors: a nil ViewPoint, or one that NewViewPoint has not made, cannot be sent")
		}
		return view.hole(), nil
	}
	core, err := CoreOf(v)
	if err != nil {
		return ExportHole{}, err
	}
	return ExportHole{Core: core, Prefix: v.(anchored).prefix()}, nil
}

// errTakeView is what an error adds that says that a view does not fit a parameter.
const errTakeView = "a view that comes home is not its object: take it as a *flavors.ViewPoint, and ask that for its Object"

// explainView adds advice to an error about a view in the place of an object.
func explainView(err error) error {
	if bad := (*jelly.AssignError)(nil); errors.As(err, &bad) && bad.Source == "*flavors.ViewPoint" {
		bad.Why = errTakeView
	}
	return err
}
