package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/exampletest"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/internal/program"
	"github.com/stretchr/testify/require"
)

func TestChat(t *testing.T) {
	s := exampletest.New(t)
	end := s.Start(run, "server", "-listen", "pb://127.0.0.1:0", "-cred", "alice=1234", "-cred", "bob=secret")
	url := s.Line("listening ")
	alice := s.Start(run, "client", "-connect", url, "-user", "alice", "-password", "1234", "-group", "#one", "-stay")
	s.Line("joined #one")
	require.NoError(
		t,
		s.Run(run, "client", "-connect", url, "-user", "bob", "-password", "secret", "-group", "#one",
			"-say", "Hello."),
	)
	s.Line("<bob> says: Hello.")
	require.NoError(t, alice())

	gone := s.StartUntilEnd(run,
		"client", "-connect", url, "-user", "alice", "-password", "1234", "-group", "#two", "-stay")
	s.Line("joined #two")
	require.ErrorContains(t, s.Run(run, "client", "-connect", url, "-user", "bob", "-password", "wrong"), "login")
	require.ErrorContains(t, s.Run(run, "client", "-connect", url), "-user")
	require.NoError(t, end())
	require.ErrorContains(t, gone(), "the server has gone")
}

func TestGroups(t *testing.T) {
	rt := pbtest.NewRuntime(t)
	h := newRealm(rt)
	checker, err := cred.NewInMemory(program.Passwords{"alice": cred.Plaintext("1234")})
	require.NoError(t, err)
	portal, err := cred.NewPortal(h, checker)
	require.NoError(t, err)
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", broker.LoginRoot(portal))
	require.NoError(t, err)
	conn, err := broker.Dial(t.Context(), rt, ln.URL())
	require.NoError(t, err)
	avatar, err := conn.Login(t.Context(), cred.UsernamePassword{Username: "alice", Password: "1234"}, nil)
	require.NoError(t, err)
	join := func(name string, allowMattress bool) (*flavors.RemoteReference, error) {
		return flavors.Call[*flavors.RemoteReference](t.Context(), avatar, "joinGroup", name, allowMattress)
	}
	group, err := join("#0", false)
	require.NoError(t, err)
	say := func(text string) error {
		_, err := flavors.Call[any](t.Context(), group, "send", text)
		return err
	}
	require.NoError(t, say("hello"), "somebody without a mind is told nothing")
	require.ErrorContains(t, say("mattress"), "Don't say that word")

	// A user can create a limited number of groups. They end with their last member.
	for i := 1; i < maxGroups; i++ {
		_, err := h.join(fmt.Sprint("#", i), &user{name: "bob"}, true)
		require.NoError(t, err)
	}
	_, err = join("#more", true)
	require.ErrorIs(t, err, flavors.ValueError)
	_, err = join("#0", true)
	require.NoError(t, err, "one that is there can be joined, twice as well")
	conn.Logout(avatar)
	require.Eventually(t, func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return len(h.groups) == maxGroups-1
	}, exampletest.Timeout, time.Millisecond)
	require.Error(t, say("from beyond"), "a member who has left cannot speak")
}

// TestJoinAfterLogout wants a late join to fail.
func TestJoinAfterLogout(t *testing.T) {
	h := newRealm(nil)
	u := &user{name: "bob"}
	_, err := h.join("#1", u, true)
	require.NoError(t, err)
	h.leave(u)
	_, err = h.join("#2", u, true)
	require.ErrorIs(t, err, flavors.PBError)
	require.Empty(t, h.groups)
}

func TestInvalidArguments(t *testing.T) {
	s := exampletest.New(t)
	require.ErrorContains(t, s.Run(run), "server -listen URL")
	require.ErrorContains(t, s.Run(run, "nonsense"), `there is no "nonsense"`)
	require.ErrorContains(t, s.Run(run, "server", "-cred", "alice"), "USER=PASSWORD")
	require.Error(t, s.Run(run, "server", "-listen", "gopher://x", "-cred", "a=b"))
	require.Error(t, s.Run(run, "client", "-user", "a", "-connect", "gopher://x"))
	require.ErrorContains(t, s.Run(run, "client", "-nonsense"), "-nonsense")
	require.Equal(t, "1 users", program.Passwords{"a": cred.Plaintext("b")}.String())
}
