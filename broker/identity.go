package broker

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// IdentityRoot publishes a portal whose realm is a cred.Identities, Perspective Broker's older model: a user logs in as
// an identity, and then attaches to perspectives of services that are on the identity's keyring.
//
//	identities := cred.NewIdentities[*flavors.RemoteReference, *Player]()
//	portal, err := cred.NewPortal(identities, users)
//	ln, err := broker.Listen(rt, url, broker.IdentityRoot(portal))
//
// The login returns a reference to the identity. Its remote methods are attach(service, perspective, mind=None), which
// returns a reference to the perspective, and keyring(), which returns a list of (service, perspective); [Conn.Attach]
// and [Conn.Keyring] call them. A key that is not on the keyring and a service that does not exist fail with the error
// of a rejected login. So does what a service refuses, unless it uses cred.RefuseOpenly.
//
// The perspectives are pointers to structs that embed [flavors.Avatar]. Each is logged out when the peer has released
// it. The identity stays logged in while the peer holds it or one of its perspectives.
func IdentityRoot[A any](
	portal *cred.Portal[*flavors.RemoteReference, *cred.Bearer[*flavors.RemoteReference, A]],
	opts ...LoginOption,
) *PortalRoot {
	if portal == nil {
		return &PortalRoot{err: errNilPortal("IdentityRoot")}
	}
	return newPortalRoot(opts, func(o *loginOptions) *portalAdapter {
		return &portalAdapter{
			accepts: portal.Accepts,
			check:   portal.Authenticate,
			enter: func(ctx context.Context, id cred.AvatarID, mind *flavors.RemoteReference) (any, func(), error) {
				session, err := portal.Enter(ctx, id, mind)
				if err != nil {
					return nil, nil, err
				}
				bearer := session.Avatar()
				return &identity{
					atOnce:  o.sessions,
					name:    bearer.Identity().String(),
					keyring: bearer.Keyring,
					attach: func(ctx context.Context, key cred.Key, mind *flavors.RemoteReference) (any, func(), error) {
						attached, err := bearer.Attach(ctx, key, mind)
						if err != nil {
							return nil, nil, err
						}
						return attached.Avatar(), attached.Logout, nil
					},
				}, session.Logout, nil
			},
		}
	})
}

// identity is the avatar of a user with a keyring.
type identity struct {
	flavors.Avatar
	atOnce  int64
	name    string
	keyring func() []cred.Key
	attach  func(context.Context, cred.Key, *flavors.RemoteReference) (avatar any, logout func(), err error)

	holders    atomic.Int64 // one for the login, one for each perspective; stays 0 once it is 0
	rejected   atomic.Int64 // perspectives
	inProgress atomic.Int64 // attachments
	last       func()       // called when holders becomes 0
}

// PublishMethods makes the mind optional.
func (*identity) PublishMethods(flavors.Prefix) flavors.MethodSet {
	return flavors.Methods(flavors.Publish("attach", "PerspectiveAttach", "service", "perspective", "mind=None"))
}

// shareRelease implements shared.
func (i *identity) shareRelease(last func()) (release func()) {
	i.last = last
	i.holders.Store(1)
	return i.release
}

func (i *identity) release() {
	if i.holders.Add(-1) == 0 {
		i.last()
	}
}

// hold adds a holder, and reports whether there was one.
func (i *identity) hold() bool {
	for {
		n := i.holders.Load()
		if n == 0 {
			return false
		}
		if i.holders.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// PerspectiveKeyring lists the keys that may be attached.
func (i *identity) PerspectiveKeyring() []any {
	keys := []any{}
	for _, k := range i.keyring() {
		keys = append(keys, jelly.Tuple{k.Service, k.Perspective})
	}
	return keys
}

// PerspectiveAttach asks the service for the perspective, outside the identity's turn: a service may block.
func (i *identity) PerspectiveAttach(
	inv *flavors.Invocation,
	service, perspective string,
	mind *flavors.RemoteReference,
) *actor.Deferred {
	conn, ok := inv.Conn().(*Conn)
	if !ok {
		return actor.Failed(errLoginAbandoned)
	}
	if !inv.WantsAnswer() {
		return actor.Failed(errLoginUnanswered)
	}
	c := conn.c
	if !countUpTo(&i.inProgress, i.atOnce) {
		c.countRejection(rejectSessions)
		return actor.Failed(Busy.Errorf("%d perspectives are being attached for this identity", i.atOnce))
	}
	rt := c.Runtime()
	d := actor.NewDeferred(rt)
	key := cred.Key{Service: service, Perspective: perspective}
	if !rt.Go("attaching "+i.name, func() {
		var perspective any
		err := errLoginAbandoned
		defer func() {
			i.inProgress.Add(-1)
			d.Complete(perspective, err)
		}()
		perspective, err = i.attached(c, key, mind)
	}) {
		i.inProgress.Add(-1)
		return actor.Failed(Busy.Errorf("the server is shutting down"))
	}
	return d
}

func (i *identity) attached(c *connection, key cred.Key, mind *flavors.RemoteReference) (any, error) {
	log := c.Logger().With().Str("user", i.name).Str("key", clip(key.String())).Logger()
	refuse := func(err error) (any, error) {
		var refused *cred.Refused
		if !usercode.AsInto(err, &refused) {
			refused = cred.Refuse(cred.ReasonRealm, "%v", err)
		}
		c.countRejection(loginRejection(refused))
		line := log.Warn()
		switch {
		case i.rejected.Add(1) > maxRefusedLogged:
			line = log.Debug()
		case refused.Fault() && refused.Reason() != cred.ReasonEnded:
			line = log.Error()
		}
		usercode.Log(func() { line.Str("reason", refused.Log()).Msg("perspective refused") })
		return nil, refusalFor(refused)
	}
	if !i.hold() {
		return refuse(cred.Refuse(cred.ReasonDenied, "the identity has logged out"))
	}
	attached := false
	defer func() { // also when the service ends the goroutine
		if !attached {
			i.release()
		}
	}()
	avatar, logout, err := i.attach(c.Context(), key, mind)
	if err != nil {
		return refuse(err)
	}
	answer, err := internal.NewLoginAnswer(avatar)
	if err != nil {
		logout()
		return refuse(cred.Refuse(cred.ReasonRealm, "the service's perspective: %v", err))
	}
	attached = true
	usercode.Log(func() { log.Info().Msg("perspective attached") })
	c.admit(answer, avatar, i.name, func() {
		defer i.release()
		logout()
	})
	return answer, nil
}

// Attach asks an identity, which a login at a server with [IdentityRoot] has returned, for a perspective of a service.
// The mind is an object of ours that the perspective may call, or nil. The connection keeps the perspective until
// [Conn.Logout]. The error is flavors.UnauthorizedLogin if the key is not on the keyring, or if the service has refused
// otherwise than with cred.RefuseOpenly.
func (c *Conn) Attach(
	ctx context.Context,
	identity *flavors.RemoteReference,
	key cred.Key,
	mind any,
) (*flavors.RemoteReference, error) {
	if !c.isMade() {
		return nil, errNoConn
	}
	perspective, err := c.callForAvatar(ctx, key.Perspective, identity, "attach", key.Service, key.Perspective, mind)
	if err != nil {
		return nil, fmt.Errorf("attaching %s: %w", key, err)
	}
	return perspective, nil
}

// Keyring returns the keys to which an identity can be attached.
func (c *Conn) Keyring(ctx context.Context, identity *flavors.RemoteReference) ([]cred.Key, error) {
	pairs, err := flavors.Call[[][2]string](ctx, identity, "keyring")
	if err != nil {
		return nil, err
	}
	keys := make([]cred.Key, len(pairs))
	for i, pair := range pairs {
		keys[i] = cred.Key{Service: pair[0], Perspective: pair[1]}
	}
	return keys, nil
}
