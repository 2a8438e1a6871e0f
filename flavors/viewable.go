package flavors

import (
	"fmt"
	"reflect"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/supervision"
)

// Viewable makes the struct that embeds it an object whose methods learn who calls. It travels by reference, as a [Referenceable] does,
// but each user is given a reference of his own: a call of draw runs ViewDraw, and the caller's perspective is the first argument.
//
//	type Board struct {
//		flavors.Viewable
//	}
//
//	func (b *Board) ViewDraw(player *Player, x, y int) { … }
//
// The perspective is that of the method through which the user was given the reference: his avatar. It cannot be forged, because a
// peer can only name what it was sent.
type Viewable struct{ anchor }

func (*Viewable) branch() supervision.Branch { return supervision.Objects }
func (*Viewable) prefix() Prefix             { return PrefixView }

// Do runs f in the object's turn, as [Referenceable.Do] does.
func (v *Viewable) Do(f func()) *actor.Deferred { return v.doAnchored(f) }

// JellyTo writes the reference for whom it is encoded. It is called by the jelly.
func (*Viewable) JellyTo(e *jelly.Encoder, self any) error {
	core, err := CoreOf(self)
	if err != nil {
		return err
	}
	return jellyRemote(e, ExportHole{Core: core, Prefix: PrefixView, Perspective: e.Perspective()})
}

// ViewPoint is an object as one user sees it. A [Viewable] becomes one by being sent; a ViewPoint made by hand lets any object, an avatar
// too, be seen under a perspective of the maker's choice.
type ViewPoint struct {
	perspective any
	core        *Core
}

// NewViewPoint makes a view of an object, a pointer to a struct that embeds a flavor, whose View… methods are called with this
// perspective.
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
	return &ViewPoint{perspective: perspective, core: core}, nil
}

// JellyTo writes the reference. It is called by the jelly.
func (v *ViewPoint) JellyTo(e *jelly.Encoder, _ any) error {
	return jellyRemote(e, ExportHole{Core: v.core, Prefix: PrefixView, Perspective: v.perspective})
}
