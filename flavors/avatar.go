package flavors

import (
	"fmt"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/seam"
	"github.com/perspectivebroker/pb/supervision"
)

// Avatar makes the struct that embeds it an avatar, the object that a user gets for a login. Only that user can call
// its Perspective… methods. Their results are encoded for the user, and their arguments are decoded under the user's
// perspective: the avatar.
//
// An avatar is sent as the answer to the login only. To show it to another user, send a [ViewPoint] of it. If its own
// user sends the reference back, a ViewPoint with the avatar's Perspective… methods arrives.
type Avatar struct{ anchor }

func (*Avatar) branch() supervision.Branch { return supervision.Objects }
func (*Avatar) prefix() Prefix             { return PrefixPerspective }

// Do runs f in the avatar's turn, as [Referenceable.Do] does.
func (a *Avatar) Do(f func()) *actor.Deferred { return a.doAnchored(f) }

// JellyTo fails; see [Avatar].
func (*Avatar) JellyTo(_ *jelly.Encoder, self any) error {
	return InsecureJelly.Errorf(
		"an avatar, here a %T, goes to its own user as the answer to the login, and nowhere else; send a ViewPoint of it",
		self,
	)
}

// loginAnswer is the answer to a login, a reference to the avatar. Package broker makes it.
type loginAnswer struct{ hole seam.Export }

// newLoginAnswer returns the answer for an avatar: a pointer to a struct that embeds [Avatar] or another flavor that
// travels by reference, a [ViewPoint], or the reference to an object of another peer.
func newLoginAnswer(avatar any) (*loginAnswer, error) {
	hole, err := exportAny(avatar)
	if err != nil {
		return nil, fmt.Errorf("the realm's avatar cannot be sent: %w", err)
	}
	_, isRelay := avatar.(relayed)
	if (hole.Prefix != string(PrefixRemote) || isRelay) && hole.View == nil {
		hole.Perspective = avatar
	}
	return &loginAnswer{hole}, nil
}

// Key identifies the user of a call: the perspective, or the object if it has none.
func (a *loginAnswer) Key() any {
	if a.hole.Perspective != nil {
		return a.hole.Perspective
	}
	return a.hole.Core
}

// Admit sets the user, nil if there is none to log out. onRelease is called when the peer has released the answer's
// reference, and must not block.
func (a *loginAnswer) Admit(user seam.Caller, onRelease func()) {
	a.hole.Caller, a.hole.OnRelease = user, onRelease
}

// JellyTo writes the reference. Package jelly calls it.
func (a *loginAnswer) JellyTo(e *jelly.Encoder, _ any) error {
	if ref, ok := a.hole.Core.Value().(*RemoteReference); ok {
		if to, ok := e.Invoker().(seam.Conn); ok && !to.Relays() {
			return notRelaying(ref)
		}
	}
	return jellyRemote(e, a.hole)
}
