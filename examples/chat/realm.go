package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
)

// realm has the groups. Users join from different actors, so it has a lock.
type realm struct {
	rt *actor.Runtime

	mu     sync.Mutex
	groups map[string]*group
}

// maxGroups limits the groups that users can create. A group without members is deleted.
const maxGroups = 1000

func newRealm(rt *actor.Runtime) *realm { return &realm{rt: rt, groups: map[string]*group{}} }

// RequestAvatar implements cred.Realm.
func (h *realm) RequestAvatar(
	_ context.Context,
	id cred.AvatarID,
	mind *flavors.RemoteReference,
) (*user, func(), error) {
	u := &user{name: id.Name(), mind: mind, realm: h}
	return u, func() { h.leave(u) }, nil
}

func (h *realm) join(name string, u *user, allowMattress bool) (*group, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if u.left {
		return nil, flavors.PBError.New("a member who has left cannot join")
	}
	g := h.groups[name]
	if g == nil {
		if len(h.groups) >= maxGroups {
			return nil, flavors.ValueError.Errorf("there are %d groups already", maxGroups)
		}
		g = &group{name: name, allowMattress: allowMattress}
		h.groups[name] = g
	}
	g.add(u)
	return g, nil
}

// leave removes a user from all groups. The user has logged out and cannot join again.
func (h *realm) leave(u *user) {
	h.mu.Lock()
	defer h.mu.Unlock()
	u.left = true
	for name, g := range h.groups {
		if g.remove(u) == 0 {
			delete(h.groups, name)
		}
	}
}

// group is a Viewable that all its members share, so that it learns which of them calls.
type group struct {
	flavors.Viewable
	name          string
	allowMattress bool

	mu      sync.Mutex
	members []*user
}

func (g *group) add(u *user) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !slices.Contains(g.members, u) {
		g.members = append(g.members, u)
	}
}

func (g *group) remove(u *user) (left int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.members = slices.DeleteFunc(g.members, func(m *user) bool { return m == u })
	return len(g.members)
}

// ViewSend sends a message to all members.
func (g *group) ViewSend(from *user, message string) error {
	if !g.allowMattress && strings.Contains(message, "mattress") {
		return flavors.ValueError.New("Don't say that word")
	}
	g.mu.Lock()
	members := slices.Clone(g.members)
	g.mu.Unlock()
	for _, u := range members {
		u.tell(fmt.Sprintf("<%s> says: %s", from.name, message))
	}
	return nil
}
