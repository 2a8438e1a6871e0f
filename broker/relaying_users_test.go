package broker_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/wire"
)

// lodger is an avatar by which users share a store and a bell.
type lodger struct {
	flavors.Avatar
	store *store
	bell  *flavors.Relay
	name  string
}

func (l *lodger) PerspectiveLeave(key string, x *flavors.Relayed) { l.store.RemoteLeave(key, x) }

func (l *lodger) PerspectiveFetch(key string) (*flavors.Relayed, error) {
	return l.store.RemoteFetch(key)
}

func (l *lodger) PerspectiveKeep(x any) { l.store.RemoteKeep(x) }

func (l *lodger) PerspectiveKept() any { return l.store.RemoteKept() }

// PerspectiveBell returns an object that knows who calls it.
func (l *lodger) PerspectiveBell() *flavors.Relay { return l.bell }

// TestRelayedOfUsers: the objects of a user are one and the same to other users, and the user stays who they are,
// whatever way a reference has come.
func TestRelayedOfUsers(t *testing.T) {
	shared, logins := &store{}, 0
	bell := flavors.NewRelay(func(inv *flavors.Invocation) {
		name := "nobody"
		if l, ok := inv.Perspective().(*lodger); ok {
			name = l.name
		}
		inv.Answer(name, nil)
	})
	enter := func(context.Context, cred.AvatarID, *flavors.RemoteReference) (*lodger, func(), error) {
		logins++
		return &lodger{store: shared, bell: bell, name: fmt.Sprint("user ", logins)}, nil, nil
	}
	s := newServer(t, broker.Login(enter, cred.AllowAnonymous()), broker.WithRelaying())
	user := func() *wire.Peer {
		p := s.peer()
		p.Write(`[message 1 "root" "loginAnonymous" 1 [tuple [None]] [dictionary]]`)
		p.Want(`[answer 1 [remote 3]]`)
		p.Write(`[message 3 3 "bell" 1 [tuple] [dictionary]]`)
		p.Want(`[answer 3 [remote 5]]`)
		return p
	}
	rings := func(p *wire.Peer, name string) {
		p.Write(`[message 5 5 "ring" 1 [tuple] [dictionary]]`)
		p.Want(`[answer 5 ["unicode" "` + name + `"]]`)
	}
	a, b := user(), user()
	rings(a, "user 1")
	rings(b, "user 2")
	a.Write(`[message 7 3 "leave" 1 [tuple ["unicode" "k"] [remote 70]] [dictionary]]`)
	a.Want(`[answer 7 [None]]`)
	b.Write(`[message 7 3 "fetch" 1 [tuple ["unicode" "k"]] [dictionary]]`)
	b.Want(`[answer 7 [remote 9]]`)

	t.Run("answered by a user's object", func(*testing.T) {
		b.Write(`[message 9 9 "self" 1 [tuple] [dictionary]]`)
		a.Want(`[message 1 70 "self" 1 [tuple] [dictionary]]`)
		a.Write(`[answer 1 [tuple [remote 70] [local 5] [remote 71]]]`)
		b.Want(`[answer 9 [tuple [remote 9] [remote 5] [remote 13]]]`)
		a.Want(`[decref 70]`) // The other mention is held.
		a.Write(`[message 9 3 "leave" 1 [tuple ["unicode" "l"] [remote 71]] [dictionary]]`)
		a.Want(`[answer 9 [None]]`)
		b.Write(`[message 11 3 "fetch" 1 [tuple ["unicode" "l"]] [dictionary]]`)
		b.Want(`[answer 11 [remote 13]]`)
	})
	t.Run("given to a user's object", func(*testing.T) {
		b.Write(`[message 13 13 "take" 1 [tuple [remote 80] [local 5]] [dictionary]]`)
		a.Want(`[message 3 71 "take" 1 [tuple [remote 9] [remote 5]] [dictionary]]`)
		a.Write(`[answer 3 [None]]`)
		b.Want(`[answer 13 [None]]`)
		b.Write(`[message 15 3 "leave" 1 [tuple ["unicode" "m"] [remote 80]] [dictionary]]`)
		b.Want(`[answer 15 [None]]`)
		a.Write(`[message 11 3 "fetch" 1 [tuple ["unicode" "m"]] [dictionary]]`)
		a.Want(`[answer 11 [remote 9]]`)
	})
	t.Run("decoded", func(*testing.T) {
		b.Write(`[message 17 3 "keep" 1 [tuple [list [remote 80] [local 13]]] [dictionary]]`)
		b.Want(`[answer 17 [None]]`)
		a.Write(`[message 13 3 "kept" 1 [tuple] [dictionary]]`)
		a.Want(`[answer 13 [list [remote 9] [local 71]]]`)
	})
	rings(a, "user 1")
	rings(b, "user 2")
}
