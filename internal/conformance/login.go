package conformance

import (
	"context"
	"sync/atomic"

	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
)

// anonymousName is the name of anonymous users.
const anonymousName = "anonymous"

// sessions counts the avatars that are logged in.
type sessions struct {
	logins atomic.Int64
	common Common
}

// portal admits the users of the command line, and anonymous ones if allowed.
func (s *server) portal(c *config) (*cred.Portal[*flavors.RemoteReference, *User], error) {
	var checkers []cred.Checker
	if len(c.users) > 0 {
		passwords, err := cred.NewInMemory(c.users)
		if err != nil {
			return nil, err
		}
		checkers = append(checkers, passwords)
	}
	if c.anonymous {
		checkers = append(checkers, cred.AllowAnonymous())
	}
	realm := func(_ context.Context, id cred.AvatarID, _ *flavors.RemoteReference) (*User, func(), error) {
		name := id.Name()
		if id.Anonymous() {
			name = anonymousName
		}
		s.users.logins.Add(1)
		return &User{server: s, name: name}, func() { s.users.logins.Add(-1) }, nil
	}
	return cred.NewPortal(cred.RealmFunc[*flavors.RemoteReference, *User](realm), checkers...)
}

// lenient does not slow down peers that test refused logins.
func lenient() *cred.Throttle { return cred.NewThrottle(cred.WithFreeFailures(1_000_000)) }

// User is the avatar.
type User struct {
	flavors.Avatar
	server *server
	name   string
}

// PerspectiveWhoami returns the user's name.
func (u *User) PerspectiveWhoami() string { return u.name }

// PerspectiveRoot returns the connection's Conformance object.
func (u *User) PerspectiveRoot(inv *flavors.Invocation) *Conformance {
	return u.server.root(inv.Conn())
}

// PerspectiveViewable returns the object that all users share.
func (u *User) PerspectiveViewable() *Common { return &u.server.users.common }

// PerspectiveLogins returns the number of avatars that are logged in.
func (u *User) PerspectiveLogins() int64 { return u.server.users.logins.Load() }

// Common is an object that all users share. Its methods know the caller.
type Common struct{ flavors.Viewable }

// ViewWhoami returns the caller's name.
func (*Common) ViewWhoami(caller *User) string { return caller.name }
