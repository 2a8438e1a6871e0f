package main

import (
	"context"
	"fmt"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/program"
)

// serve runs the server until ctx ends.
func serve(ctx context.Context, rt *actor.Runtime, listen string, users program.Passwords, groups names) error {
	ln, err := listenAt(rt, listen, users, newRealm(groups))
	if err != nil {
		return err
	}
	fmt.Println("listening", ln.URL())
	<-ctx.Done()
	return nil
}

func listenAt(rt *actor.Runtime, url string, users program.Passwords, r *realm) (*broker.Listener, error) {
	checker, err := cred.NewInMemory(users)
	if err != nil {
		return nil, err
	}
	portal, err := cred.NewPortal(r, checker)
	if err != nil {
		return nil, err
	}
	// The reference to a stock client's mind carries its class.
	registry := jelly.NewRegistry()
	if err := flavors.RegisterReference(registry, mindClass); err != nil {
		return nil, err
	}
	return broker.Listen(rt, url, broker.LoginRoot(portal), broker.WithRegistry(registry))
}

// avatar is a user who has logged in.
type avatar struct {
	flavors.Avatar
	realm *realm
	name  string
	mind  *flavors.RemoteReference // nil if the client has none
	user  *user

	// Guarded by the realm's lock.
	left    bool // has logged out
	members map[*group]*member
}

// ReferenceClass makes the answer to a login one that stock clients understand.
func (*avatar) ReferenceClass() (class string, extras []any) { return avatarClass, nil }

// PerspectiveJoin answers the user's membership in a group.
func (a *avatar) PerspectiveJoin(groupName string) (*member, error) {
	return a.realm.join(groupName, a)
}

// tell calls a method of the user's mind. A mind that does not take the call is not waited for.
func (a *avatar) tell(method string, args ...any) {
	if a.mind != nil {
		_ = a.mind.CallRemoteNoAnswer(method, args...)
	}
}

// user is what others get to see of a user. It has no methods.
type user struct{ flavors.Referenceable }

// member is a user's membership in a group, and what the user knows as the group.
type member struct {
	flavors.Referenceable
	group  *group
	avatar *avatar
}

// ReferenceClass has the reference carry the name of the group.
func (m *member) ReferenceClass() (class string, extras []any) {
	return groupClass, []any{[]byte(m.group.name)}
}

// PublishMethods gives leave the default that it has in Twisted.
func (*member) PublishMethods(flavors.Prefix) flavors.MethodSet {
	return flavors.Methods(flavors.Publish("leave", "RemoteLeave", "reason=None"))
}

// RemoteSend sends a message to the other members. Its text is under the key "text".
func (m *member) RemoteSend(message map[string]any) error {
	if err := checkMessage(message); err != nil {
		return err
	}
	return m.avatar.realm.send(m, message)
}

// RemoteLeave ends the membership. The others are told the reason.
func (m *member) RemoteLeave(reason *string) { m.avatar.realm.leave(m, reason) }

// maxKeys limits the keys of a message.
const maxKeys = 64

// checkMessage refuses messages that are not plain: members are on other connections, where references mean nothing.
func checkMessage(message map[string]any) error {
	if len(message) > maxKeys {
		return flavors.ValueError.Errorf("send: the message has %d keys; at most %d are allowed", len(message), maxKeys)
	}
	for key, value := range message {
		switch value.(type) {
		case nil, bool, int64, float64, string, []byte:
		default:
			return flavors.TypeError.Errorf("send: the message's %.40q must be text, bytes, a number, a bool or None", key)
		}
	}
	return nil
}
