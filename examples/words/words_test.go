package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/exampletest"
	"github.com/perspectivebroker/pb/internal/graph"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/internal/program"
)

func TestWords(t *testing.T) {
	s := exampletest.New(t)
	end := s.Start(run, "server", "-listen", "pb://127.0.0.1:0", "-cred", "alice=1234", "-cred", "bob=secret")
	url := s.Line("listening ")
	alice := s.StartUntilEnd(run, "client", "-connect", url, "-user", "alice", "-password", "1234", "-group", "#one",
		"-say", "Hello.", "-stay", "10m")
	s.Line("<alice> Hello.")
	bob := s.Start(run, "client", "-connect", url, "-user", "bob", "-password", "secret", "-group", "#one",
		"-say", "Hello.", "-stay", "10m")
	s.Line("<bob> Hello.")
	s.Line("<user ")
	require.NoError(t, alice())
	require.NoError(t, bob())

	gone := s.StartUntilEnd(run, "client", "-connect", url, "-user", "alice", "-password", "1234", "-group", "#two",
		"-stay", "10m")
	s.Line("joined #two")
	require.NoError(t, end())
	require.ErrorContains(t, gone(), "the server has gone")
}

func TestInvalidArguments(t *testing.T) {
	s := exampletest.New(t)
	require.ErrorContains(t, s.Run(run), "server -listen URL")
	require.ErrorContains(t, s.Run(run, "nonsense"), `there is no "nonsense"`)
	require.ErrorContains(t, s.Run(run, "server", "-cred", "alice"), "USER=PASSWORD")
	require.ErrorContains(t, s.Run(run, "server", "-group", ""), "want a name")
	require.Error(t, s.Run(run, "server", "-listen", "gopher://x", "-cred", "a=b"))
	require.Error(t, s.Run(run, "client", "-user", "a", "-connect", "gopher://x"))
	require.ErrorContains(t, s.Run(run, "client"), "-user")
	require.ErrorContains(t, s.Run(run, "client", "-nonsense"), "-nonsense")
	require.Equal(t, "1 users", program.Passwords{"a": cred.Plaintext("b")}.String())
}

// desk is a server in the test's process.
type desk struct {
	realm *realm
	url   string
}

func newDesk(t *testing.T, groups ...string) *desk {
	r := newRealm(groups)
	ln, err := listenAt(pbtest.NewRuntime(t), "pb://127.0.0.1:0", program.Passwords{"alice": cred.Plaintext("1234")}, r)
	require.NoError(t, err)
	return &desk{r, ln.URL()}
}

// enter logs in and returns the connection and the avatar.
func (d *desk) enter(t *testing.T, mind any) (*broker.Conn, *flavors.RemoteReference) {
	registry := jelly.NewRegistry()
	for _, class := range []string{avatarClass, groupClass} {
		require.NoError(t, flavors.RegisterReference(registry, class))
	}
	conn, err := broker.Dial(t.Context(), pbtest.NewRuntime(t), d.url, broker.WithRegistry(registry))
	require.NoError(t, err)
	avatar, err := conn.Login(t.Context(), cred.UsernamePassword{Username: "alice", Password: "1234"}, mind)
	require.NoError(t, err)
	return conn, avatar
}

func join(t *testing.T, avatar *flavors.RemoteReference, name string) (*flavors.RemoteReference, error) {
	return flavors.Call[*flavors.RemoteReference](t.Context(), avatar, "join", name)
}

func TestGroups(t *testing.T) {
	d := newDesk(t)
	conn, avatar := d.enter(t, nil)
	assert.Equal(t, avatarClass, avatar.Class())
	group, err := join(t, avatar, "#Grüße")
	require.NoError(t, err)
	assert.Equal(t, groupClass, group.Class())
	assert.Equal(t, []any{[]byte("#grüße")}, group.Extras())
	again, err := join(t, avatar, "#grüße")
	require.NoError(t, err)
	assert.Same(t, group, again)
	for i := range maxGroups - 1 {
		_, err := d.realm.join(fmt.Sprint("#", i), &avatar0)
		require.NoError(t, err)
	}
	_, err = join(t, avatar, "#more")
	require.ErrorIs(t, err, flavors.ValueError)

	_, err = flavors.Call[any](t.Context(), group, "send", map[string]any{"text": "hello"})
	require.NoError(t, err)
	_, err = flavors.Call[any](t.Context(), group, "leave", "bye")
	require.NoError(t, err)
	_, err = flavors.Call[any](t.Context(), group, "leave")
	require.NoError(t, err, "a second time")
	_, err = flavors.Call[any](t.Context(), group, "send", map[string]any{"text": "hello"})
	require.ErrorIs(t, err, flavors.PBError)
	conn.Logout(avatar)
	require.Eventually(t, func() bool {
		_, err := flavors.Call[any](t.Context(), avatar, "join", "#x")
		return err != nil
	}, exampletest.Timeout, time.Millisecond)
}

// avatar0 is a user without a connection.
var avatar0 = avatar{user: &user{}, members: map[*group]*member{}}

func TestJoinAfterLogout(t *testing.T) {
	r := newRealm(nil)
	a := &avatar{realm: r, user: &user{}, members: map[*group]*member{}}
	m, err := r.join("a", a)
	require.NoError(t, err)
	r.logout(a)
	r.leave(m, nil)
	_, err = r.join("b", a)
	require.ErrorIs(t, err, flavors.PBError)
	require.Empty(t, r.groups)
}

// TestUnplainMessages wants messages refused that the members could not be sent.
func TestUnplainMessages(t *testing.T) {
	d := newDesk(t, "lobby")
	_, avatar := d.enter(t, nil)
	group, err := join(t, avatar, "lobby")
	require.NoError(t, err)
	many := map[string]any{}
	for i := range maxKeys + 1 {
		many[fmt.Sprint(i)] = i
	}
	for name, c := range map[string]struct {
		message any
		want    *flavors.Exception
	}{
		"no dictionary": {"hello", flavors.TypeError},
		"reference":     {map[string]any{"text": &user{}}, flavors.TypeError},
		"list":          {map[string]any{"text": []any{"a"}}, flavors.TypeError},
		"many keys":     {many, flavors.ValueError},
		"number as key": {map[int]string{1: "a"}, flavors.TypeError},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := flavors.Call[any](t.Context(), group, "send", c.message)
			require.ErrorIs(t, err, c.want)
		})
	}
}

// TestForeignClasses sends references with unknown classes, or classes of the wrong kind, as the mind.
func TestForeignClasses(t *testing.T) {
	d := newDesk(t, "lobby")
	conn, err := broker.Dial(t.Context(), pbtest.NewRuntime(t), d.url)
	require.NoError(t, err)
	alice := cred.UsernamePassword{Username: "alice", Password: "1234"}
	_, err = conn.Login(t.Context(), alice, &foreigner{})
	require.Error(t, err)
	assert.NoError(t, conn.Context().Err(), "the connection stays")
	_, err = conn.Login(t.Context(), alice, newMind(""))
	require.Error(t, err, "this client has not registered the avatar's class")
}

// foreigner is a mind of a class that is not registered.
type foreigner struct{ flavors.Referenceable }

func (*foreigner) ReferenceClass() (class string, extras []any) { return "os.Mind", nil }

// TestMessagesAreGraphs passes hostile values to the client's mind and to the server.
func TestMessagesAreGraphs(t *testing.T) {
	try := func(t graph.TB, v any) {
		graph.Within(t, 256<<20, func() {
			m := newMind("")
			dict := jelly.NewDict(jelly.Entry{Key: "text", Value: v}, jelly.Entry{Key: v, Value: v})
			_ = m.RemoteReceive(nil, nil, dict)
			_ = checkMessage(map[string]any{"text": v})
		})
	}
	for name, v := range graph.Hostile() {
		t.Run(name, func(t *testing.T) { try(t, v) })
	}
	rapid.Check(t, func(rt *rapid.T) { try(rt, graph.Random(rapid.Uint64().Draw(rt, "seed"))) })
}

// TestEarlyMessages hears messages before the join was answered.
func TestEarlyMessages(t *testing.T) {
	s := exampletest.New(t)
	m := newMind("x")
	for i := range maxEarly + 10 {
		m.print("user 1", fmt.Sprint("line ", i, "\x1b[2J"))
	}
	assert.Len(t, m.early, maxEarly)
	m.joined("lobby")
	s.Line("joined lobby")
	s.Line(fmt.Sprint("<user 1> line ", maxEarly-1, " [2J"))
	require.ErrorIs(t, m.RemoteReceive(nil, nil, nil), flavors.TypeError)
}
