package main

import (
	"context"
	"runtime"
	"slices"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cluster"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
)

// realm gives each user who logs in at this gateway an avatar.
type realm struct {
	rt   *actor.Runtime
	node *cluster.Node
}

// RequestAvatar implements cred.Realm.
func (r *realm) RequestAvatar(_ context.Context, id cred.AvatarID, _ *flavors.RemoteReference) (*user, func(), error) {
	return &user{name: id.Name(), realm: r}, nil, nil
}

// user is the avatar of a user. It lives at the gateway.
type user struct {
	flavors.Avatar
	name  string
	realm *realm
}

// UserName is how rooms know who calls them, see cluster.User.
func (u *user) UserName() string { return u.name }

// PerspectiveWhoami returns the user's name.
func (u *user) PerspectiveWhoami() string { return u.name }

// PerspectiveNode returns the name of the gateway.
func (u *user) PerspectiveNode() string { return u.realm.node.Name() }

// PerspectiveMembers returns the names of the cluster's nodes that have rooms, sorted.
func (u *user) PerspectiveMembers() []string {
	var names []string
	for _, m := range u.realm.node.Members() {
		if slices.Contains(m.Kinds, kindOfRooms) {
			names = append(names, m.Name)
		}
	}
	slices.Sort(names)
	return names
}

// maxID is the longest name of a room, in bytes.
const maxID = 1024

// PerspectiveRoom returns the reference to a room, on whatever node it is. The first call to it opens it.
func (u *user) PerspectiveRoom(id string) (*cluster.Ref, error) {
	if id == "" || len(id) > maxID {
		return nil, flavors.ValueError.Errorf("the name of a room has 1 to %d bytes, this one %d", maxID, len(id))
	}
	return u.realm.node.Get(kindOfRooms, id), nil
}

// PerspectiveStats returns figures of the gateway: how many objects the peers of its connections hold (exports),
// how many of these it passes calls on to (relays), to how many nodes it is connected (links), how many rooms live
// on it (placed), and the bytes of its heap (heap).
func (u *user) PerspectiveStats() map[string]int {
	node, conns := u.realm.node.Stats(), broker.StatsOf(u.realm.rt)
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	return map[string]int{
		"exports": conns.Exports, "relays": conns.Relays, "links": node.Links, "placed": node.Placed,
		"heap": int(memory.HeapAlloc),
	}
}
