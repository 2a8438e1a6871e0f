package main

import (
	"context"
	"sync/atomic"

	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
)

// anonymousName is what those are called who did not say who they are.
const anonymousName = "anonymous"

// roll is who is in.
type roll struct {
	logins atomic.Int64
	common Common
}

// portal lets the users of the command line in, and anonymous ones if they may.
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

// patient slows down nobody who tries what happens to those who are refused.
func patient() *cred.Throttle { return cred.NewThrottle(cred.WithFreeFailures(1_000_000)) }

// User is the avatar: what somebody talks to who is in.
type User struct {
	flavors.Avatar
	server *server
	name   string
}

// PerspectiveWhoami is the user's name.
func (u *User) PerspectiveWhoami() string { return u.name }

// PerspectiveRoot is the Conformance object of the connection.
func (u *User) PerspectiveRoot(inv *flavors.Invocation) *Conformance {
	return u.server.root(inv.Conn())
}

// PerspectiveViewable is one and the same object for all users.
func (u *User) PerspectiveViewable() *Common { return &u.server.users.common }

// PerspectiveLogins is how many avatars are in now.
func (u *User) PerspectiveLogins() int64 { return u.server.users.logins.Load() }

// Common is an object that all users share, and that knows which of them is calling.
type Common struct{ flavors.Viewable }

// ViewWhoami is the caller's name.
func (*Common) ViewWhoami(caller *User) string { return caller.name }
