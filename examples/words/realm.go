package main

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
)

// realm has the groups. Users act from different actors, so it has a lock. Calls to minds are made under the lock, so
// that all members hear everything in the same order; such a call does not wait.
type realm struct {
	fixed bool // users cannot create groups

	mu     sync.Mutex
	groups map[string]*group
}

// maxGroups limits the groups that users can create. Such a group is deleted with its last member.
const maxGroups = 1000

// newRealm returns a realm with the named groups. If there are none, users create groups by joining them.
func newRealm(groups []string) *realm {
	r := &realm{fixed: len(groups) > 0, groups: map[string]*group{}}
	for _, name := range groups {
		name = strings.ToLower(name)
		r.groups[name] = &group{name: name}
	}
	return r
}

// group has its members in the order in which they joined.
type group struct {
	name    string
	members []*member // guarded by the realm's lock
}

// RequestAvatar implements cred.Realm. Users may log in more than once.
func (r *realm) RequestAvatar(
	_ context.Context,
	id cred.AvatarID,
	mind *flavors.RemoteReference,
) (*avatar, func(), error) {
	a := &avatar{realm: r, name: id.Name(), mind: mind, user: &user{}, members: map[*group]*member{}}
	return a, func() { r.logout(a) }, nil
}

// join adds a user to a group and tells the other members. As in Twisted, names of groups are in lower case.
func (r *realm) join(name string, a *avatar) (*member, error) {
	name = strings.ToLower(name)
	r.mu.Lock()
	defer r.mu.Unlock()
	if a.left {
		return nil, flavors.PBError.New("join: the user has logged out")
	}
	g := r.groups[name]
	switch {
	case g != nil:
	case r.fixed:
		return nil, errNoSuchGroup.Errorf("NoSuchGroup: %s", name)
	case len(r.groups) >= maxGroups:
		return nil, flavors.ValueError.Errorf("join: there are %d groups already", maxGroups)
	default:
		g = &group{name: name}
		r.groups[name] = g
	}
	if m := a.members[g]; m != nil {
		return m, nil
	}
	m := &member{group: g, avatar: a}
	for _, other := range g.members {
		other.avatar.tell("userJoined", other, a.user)
	}
	g.members = append(g.members, m)
	a.members[g] = m
	return m, nil
}

// send sends a message to the other members of the group.
func (r *realm) send(from *member, message map[string]any) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if from.avatar.members[from.group] != from {
		return flavors.PBError.Errorf("send: the user is not in the group %.40q", from.group.name)
	}
	for _, m := range from.group.members {
		if m != from {
			m.avatar.tell("receive", from.avatar.user, m, message)
		}
	}
	return nil
}

// leave ends a membership and tells the other members. The reason may be nil.
func (r *realm) leave(m *member, reason *string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remove(m, reason)
}

// logout removes a user from all groups. A stock server keeps the user in them.
func (r *realm) logout(a *avatar) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a.left = true
	for _, m := range a.members {
		r.remove(m, nil)
	}
}

// remove removes a member, unless that was done before. The caller holds the lock.
func (r *realm) remove(m *member, reason *string) {
	g, a := m.group, m.avatar
	if a.members[g] != m {
		return
	}
	delete(a.members, g)
	g.members = slices.DeleteFunc(g.members, func(other *member) bool { return other == m })
	for _, other := range g.members {
		other.avatar.tell("userLeft", other, a.user, reason)
	}
	if len(g.members) == 0 && !r.fixed {
		delete(r.groups, g.name)
	}
}
