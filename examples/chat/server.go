package main

import (
	"context"
	"fmt"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/program"
)

// serve runs the server until ctx ends.
func serve(ctx context.Context, rt *actor.Runtime, listen string, users program.Passwords) error {
	checker, err := cred.NewInMemory(users)
	if err != nil {
		return err
	}
	portal, err := cred.NewPortal(newRealm(rt), checker)
	if err != nil {
		return err
	}
	ln, err := broker.Listen(rt, listen, broker.LoginRoot(portal))
	if err != nil {
		return err
	}
	fmt.Println("listening", ln.URL())
	<-ctx.Done()
	return nil
}

// user is the avatar.
type user struct {
	flavors.Avatar
	name  string
	mind  *flavors.RemoteReference // prints on the client's side; nil if the client has none
	realm *realm
	left  bool // guarded by the realm's lock
}

// PublishMethods gives joinGroup the default that it has in Twisted's listing.
func (*user) PublishMethods(flavors.Prefix) flavors.MethodSet {
	return flavors.Methods(flavors.Publish("joinGroup", "PerspectiveJoinGroup", "groupname", "allowMattress=True"))
}

// PerspectiveJoinGroup answers the group, whose methods will know this user.
func (u *user) PerspectiveJoinGroup(groupname string, allowMattress bool) (*group, error) {
	return u.realm.join(groupname, u, allowMattress)
}

// tell has a line printed at the user's end. Who does not take it is not waited for.
func (u *user) tell(line string) {
	if u.mind != nil {
		_ = u.mind.CallRemoteNoAnswer("print", line)
	}
}
