package broker_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/require"
)

// town has two services. alice and bob have keys to some of their perspectives.
type town struct {
	house
	identities *cred.Identities[*flavors.RemoteReference, *player]
	portal     *cred.Portal[*flavors.RemoteReference, *cred.Bearer[*flavors.RemoteReference, *player]]
}

func newTown(t *testing.T) *town {
	t.Helper()
	w := &town{identities: cred.NewIdentities[*flavors.RemoteReference, *player]()}
	for _, name := range []string{"chess", "chat"} {
		require.NoError(t, w.identities.AddService(name, cred.ServiceFunc[*flavors.RemoteReference, *player](
			func(
				_ context.Context, perspective string, _ cred.AvatarID, mind *flavors.RemoteReference,
			) (*player, func(), error) {
				if perspective == "broken" {
					return nil, nil, errPlain
				}
				w.in.Add(1)
				return &player{name: name + " as " + perspective, mind: mind, home: &w.house}, func() { w.out.Add(1) }, nil
			},
		)))
	}
	require.NoError(t, w.identities.Grant(cred.ID("alice"),
		cred.Key{Service: "chess", Perspective: "white"}, cred.Key{Service: "chat", Perspective: "alice"},
		cred.Key{Service: "chess", Perspective: "broken"}, cred.Key{Service: "nowhere", Perspective: "alice"}))
	users, err := cred.NewInMemory(
		map[string]cred.Entry{"alice": cred.Plaintext("sesame"), "bob": cred.Plaintext("bread")},
	)
	require.NoError(t, err)
	w.portal, err = cred.NewPortal(w.identities, users)
	require.NoError(t, err)
	return w
}

func (w *town) peer(t *testing.T) *wire.Peer {
	t.Helper()
	return newServer(t, broker.IdentityRoot(w.portal, unhurried())).peer()
}

// TestAttach holds P-8.10.
func TestAttach(t *testing.T) {
	w := newTown(t)
	p := w.peer(t)
	enter(p, 1, "alice", "sesame")
	t.Run("keyring", func(t *testing.T) {
		p.Write(`[message 3 $avatar "keyring" 1 [tuple] [dictionary]]`)
		p.Want(`[answer 3 [list [tuple [unicode chat] [unicode alice]] [tuple [unicode chess] [unicode broken]]
			[tuple [unicode chess] [unicode white]] [tuple [unicode nowhere] [unicode alice]]]]`)
	})
	t.Run("attach each perspective", func(t *testing.T) {
		p.Write(`[message 4 $avatar "attach" 1 [tuple [unicode chess] white] [dictionary]]`)
		p.Want(`[answer 4 [remote $chess]]`)
		p.Write(`[message 5 $chess "whoami" 1 [tuple] [dictionary]]`)
		p.Want(`[answer 5 [unicode "chess as white"]]`)
		p.Write(`[message 6 $avatar "attach" 1 [tuple chat [unicode alice] [remote 77]] [dictionary]]`)
		p.Want(`[answer 6 [remote $chat]]`)
		p.Write(`[message 7 $chat "tell" 1 [tuple [unicode hello]] [dictionary]]`)
		p.Want(`[message 1 77 "hello" 1 [tuple] [dictionary]]`)
		p.Write(`[answer 1 [None]]`)
		p.Want(`[answer 7 [None]]`)
	})
	t.Run("objects see their own perspective", func(t *testing.T) {
		p.Write(`[message 8 $chess "board" 1 [tuple] [dictionary]]`)
		p.Want(`[answer 8 [remote $board]]`)
		p.Write(`[message 9 $board "who" 1 [tuple] [dictionary]]`)
		p.Want(`[answer 9 [unicode "chess as white"]]`)
	})
	t.Run("same refusal for all reasons", func(t *testing.T) {
		answers := map[string]string{}
		for i, key := range []string{"chess black", "chess broken", "nowhere alice", "elsewhere alice", `"" ""`} {
			p.Write(fmt.Sprintf(`[message %d $avatar "attach" 1 [tuple %s] [dictionary]]`, 20+i, key))
			answers[key] = wantRefused(t, p, 20+i)
		}
		for key, answer := range answers {
			require.Equal(t, answers["chess black"], answer, key)
		}
		p.Write(`[message 30 $avatar "attach" 0 [tuple chess white] [dictionary]]`,
			`[message 31 $avatar "attach" 1 [tuple chess] [dictionary]]`)
		wantError(t, p, 31, "builtins.TypeError")
		require.EqualValues(t, 2, w.inside())
	})
	t.Run("release logs out one perspective", func(t *testing.T) {
		p.Write(`[decref $chat]`)
		require.Eventually(t, func() bool { return w.inside() == 1 }, patience, tick)
	})
	t.Run("identity stays while a perspective is held", func(t *testing.T) {
		p.Write(`[decref $avatar]`, `[message 40 $avatar "keyring" 1 [tuple] [dictionary]]`)
		wantError(t, p, 40, "twisted.spread.pb.Error")
		p.Write(`[message 41 $chess "whoami" 1 [tuple] [dictionary]]`)
		p.Want(`[answer 41 [unicode "chess as white"]]`)
		require.EqualValues(t, 1, w.inside())
		p.Write(`[decref $chess]`)
		w.wantEmpty(t)
	})
	t.Run("connection's end logs out all", func(t *testing.T) {
		enter(p, 50, "alice", "sesame")
		p.Write(`[message 52 $avatar "attach" 1 [tuple chess white] [dictionary]]`)
		p.Want(`[answer 52 [remote _]]`)
		require.EqualValues(t, 1, w.inside())
		p.Close()
		w.wantEmpty(t)
	})
}

func TestAttachFromOurClient(t *testing.T) {
	w := newTown(t)
	rt := newRuntime(t)
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", broker.IdentityRoot(w.portal, unhurried()))
	require.NoError(t, err)
	conn, err := broker.Dial(t.Context(), rt, ln.URL())
	require.NoError(t, err)
	identity, err := conn.Login(t.Context(), cred.UsernamePassword{Username: "alice", Password: "sesame"}, nil)
	require.NoError(t, err)
	keys, err := conn.Keyring(t.Context(), identity)
	require.NoError(t, err)
	require.Len(t, keys, 4)
	require.Equal(t, cred.Key{Service: "chat", Perspective: "alice"}, keys[0])
	chat, err := conn.Attach(t.Context(), identity, keys[0], nil)
	require.NoError(t, err)
	name, err := flavors.Call[string](t.Context(), chat, "whoami")
	require.NoError(t, err)
	require.Equal(t, "chat as alice", name)
	_, err = conn.Attach(t.Context(), identity, cred.Key{Service: "chess", Perspective: "black"}, nil)
	require.ErrorIs(t, err, flavors.UnauthorizedLogin)
	conn.Logout(chat)
	w.wantEmpty(t)

	other, err := conn.Login(t.Context(), cred.UsernamePassword{Username: "bob", Password: "bread"}, nil)
	require.NoError(t, err)
	keys, err = conn.Keyring(t.Context(), other)
	require.NoError(t, err)
	require.Empty(t, keys)
	conn.Logout(other)
	_, err = conn.Keyring(t.Context(), other)
	require.ErrorIs(t, err, flavors.DeadReference)
}

// TestServiceReturnsUnsendable: its perspective is logged out again, and the identity stays.
func TestServiceReturnsUnsendable(t *testing.T) {
	out := make(chan struct{}, 1)
	identities := cred.NewIdentities[*flavors.RemoteReference, string]()
	require.NoError(t, identities.AddService("chess", cred.ServiceFunc[*flavors.RemoteReference, string](
		func(context.Context, string, cred.AvatarID, *flavors.RemoteReference) (string, func(), error) {
			return "a string", func() { out <- struct{}{} }, nil
		})))
	require.NoError(t, identities.Grant(cred.ID("alice"), cred.Key{Service: "chess", Perspective: "white"}))
	users, err := cred.NewInMemory(map[string]cred.Entry{"alice": cred.Plaintext("sesame")})
	require.NoError(t, err)
	portal, err := cred.NewPortal(identities, users)
	require.NoError(t, err)
	p := newServer(t, broker.IdentityRoot(portal)).peer()
	enter(p, 1, "alice", "sesame")
	p.Write(`[message 3 $avatar "attach" 1 [tuple chess white] [dictionary]]`)
	wantRefused(t, p, 3)
	<-out
	p.Write(`[message 4 $avatar "keyring" 1 [tuple] [dictionary]]`)
	p.Want(`[answer 4 _]`)
}

func TestAttachmentLimit(t *testing.T) {
	gate := make(chan struct{})
	w := newTown(t)
	require.NoError(t, w.identities.AddService("slow", cred.ServiceFunc[*flavors.RemoteReference, *player](
		func(context.Context, string, cred.AvatarID, *flavors.RemoteReference) (*player, func(), error) {
			<-gate
			return &player{home: &w.house}, func() {}, nil
		})))
	require.NoError(t, w.identities.Grant(cred.ID("bob"), cred.Key{Service: "slow", Perspective: "bob"}))
	s := newServer(t, broker.IdentityRoot(w.portal, unhurried(), broker.WithSessions(2)))
	p := s.peer()
	enter(p, 1, "bob", "bread")
	attach := func(request int) {
		p.Write(fmt.Sprintf(`[message %d $avatar "attach" 1 [tuple slow bob] [dictionary]]`, request))
	}
	for i := range 3 {
		attach(10 + i)
	}
	wantError(t, p, 12, "perspectivebroker.Busy")
	require.Equal(t, map[broker.Rejection]uint64{"sessions": 1}, broker.StatsOf(s.rt).Refusals)
	close(gate)
	p.Want(`[answer _ [remote _]]`, `[answer _ [remote _]]`)
	attach(13)
	p.Want(`[answer 13 [remote _]]`)
}
