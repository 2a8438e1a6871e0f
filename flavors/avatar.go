package flavors

import (
	"fmt"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/supervision"
)

// Avatar makes the struct that embeds it what a user talks to once he is in: a realm returns one for a login. Its
// Perspective… methods can be called, by that user alone; what they give out is encoded for him, and what he sends
// along it arrives under his perspective.
//
// An avatar is not sent in messages: it is the answer to the login. To let another user see it, send a [ViewPoint].
// When its own user sends the reference home, what arrives is a ViewPoint of the avatar with its Perspective… methods.
type Avatar struct{ anchor }

func (*Avatar) branch() supervision.Branch { return supervision.Objects }
func (*Avatar) prefix() Prefix             { return PrefixPerspective }

// Do runs f in the avatar's turn, as [Referenceable.Do] does.
func (a *Avatar) Do(f func()) *actor.Deferred { return a.doAnchored(f) }

// JellyTo refuses: see [Avatar].
func (*Avatar) JellyTo(_ *jelly.Encoder, self any) error {
	return InsecureJelly.Errorf(
		"an avatar, here a %T, goes to its own user as the answer to the login, and nowhere else; send a ViewPoint of it",
		self,
	)
}

// LoginAnswer is the answer to a login: the reference to the avatar. Package broker makes it.
type LoginAnswer struct{ hole ExportHole }

// NewLoginAnswer prepares an avatar to be sent: a pointer to a struct that embeds [Avatar], or any other flavor that
// travels by reference, or a [ViewPoint].
func NewLoginAnswer(avatar any) (*LoginAnswer, error) {
	hole, err := ExportOf(avatar)
	if err != nil {
		return nil, fmt.Errorf("the realm's avatar cannot be sent: %w", err)
	}
	if hole.Prefix != PrefixRemote && hole.View == nil {
		hole.Perspective = avatar
	}
	return &LoginAnswer{hole}, nil
}

// Key is what the calls of the user are known by: the perspective, or the object where it has none.
func (a *LoginAnswer) Key() any {
	if a.hole.Perspective != nil {
		return a.hole.Perspective
	}
	return a.hole.Core
}

// Admit says who the user is; nil where there is none to be logged out. onRelease is called, in a goroutine that must
// not be held up, when the peer has let go of what the answer gave it.
func (a *LoginAnswer) Admit(user *Caller, onRelease func()) {
	a.hole.Caller, a.hole.OnRelease = user, onRelease
}

// JellyTo writes the reference. It is called by the jelly.
func (a *LoginAnswer) JellyTo(e *jelly.Encoder, _ any) error { return jellyRemote(e, a.hole) }
