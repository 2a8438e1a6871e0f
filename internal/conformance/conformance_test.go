package conformance

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/flavors/paging"
	"github.com/perspectivebroker/pb/internal/exampletest"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// internal/interop tests the contract with stock peers and ours, over each transport. These tests run the program
// alone.

// peer is a Go client of the server.
type peer struct {
	t    *testing.T
	rt   *actor.Runtime
	conn *broker.Conn
	root *flavors.RemoteReference
	url  string
}

// runPlain is the program with the transports of the library alone.
func runPlain(ctx context.Context, args []string) error { return run(ctx, args, nil) }

// visit starts the server and connects to it.
func visit(t *testing.T, flags ...string) *peer {
	s := exampletest.New(t)
	end := s.Start(runPlain, append([]string{"-listen", "pb://127.0.0.1:0"}, flags...)...)
	t.Cleanup(func() { assert.NoError(t, end()) })
	rt := pbtest.NewRuntime(t)
	known, err := classes()
	require.NoError(t, err)
	url := s.Line("listening ")
	conn, err := broker.Dial(t.Context(), rt, url, broker.WithRegistry(known))
	require.NoError(t, err)
	return &peer{t, rt, conn, conn.Root(), url}
}

// asks calls a method of the root.
func (p *peer) asks(method string, args ...any) any {
	p.t.Helper()
	v, err := flavors.Call[any](p.t.Context(), p.root, method, args...)
	require.NoError(p.t, err, method)
	return v
}

func (p *peer) fails(kind *flavors.Exception, method string, args ...any) {
	p.t.Helper()
	_, err := flavors.Call[any](p.t.Context(), p.root, method, args...)
	require.ErrorIs(p.t, err, kind, method)
}

// toy is one of the peer's objects.
type toy struct{ flavors.Referenceable }

func (*toy) RemoteTwice(n int) int { return 2 * n }

func (*toy) RemoteSend(collector *flavors.RemoteReference) {
	paging.Send(collector, paging.FromBytes(make([]byte, 1000), 300))
}

func TestValuesAndFailures(t *testing.T) {
	p := visit(t)
	assert.Equal(t, []any{int64(1), "two"}, p.asks("echo", []any{1, "two"}))
	assert.EqualValues(t, 5, p.asks("add", 2, 3))
	assert.EqualValues(t, 12, p.asks("add", 2))
	p.fails(flavors.TypeError, "add", nil)
	assert.Len(t, p.asks("kwargs", 1, flavors.Kw{"a": 2}), 2)
	p.fails(custom, "fail", "typed", "x")
	p.fails(flavors.RuntimeError, "fail", "panic", "x")
	p.fails(flavors.ValueError, "fail", "none", "x")
	_, err := flavors.Call[any](t.Context(), p.root, "fail", "error", "plain words")
	require.ErrorContains(t, err, "plain words")
	assert.Equal(t, "x", p.asks("later", 0, "x"))
	assert.Nil(t, p.asks("slow", 0))
	assert.Equal(t, &Point{X: int64(1), Y: int64(2)}, p.asks("point", 1, 2))
	assert.Equal(t, []any{int64(1), int64(2)}, p.asks("takePoint", &Point{X: 1, Y: 2}))
	p.fails(flavors.TypeError, "takePoint", nil)

	stats, ok := p.asks("stats").(*jelly.Dict)
	require.True(t, ok)
	connections, _ := stats.Get("connections")
	assert.EqualValues(t, 1, connections)

	never := p.root.CallRemote("never")
	_, err = flavors.Call[any](t.Context(), p.root, "close")
	require.Error(t, err)
	_, err = never.Await(t.Context())
	require.ErrorIs(t, err, flavors.ConnectionLost)
}

func TestReferences(t *testing.T) {
	p := visit(t)
	doll := &toy{}
	assert.EqualValues(t, 8, p.asks("callback", doll, "twice", []any{4}))
	p.asks("hold", "doll", doll)
	assert.Same(t, doll, p.asks("held", "doll"))
	p.asks("hold", "doll", doll)
	assert.Nil(t, p.asks("release", "doll"))
	p.fails(flavors.KeyError, "release", "doll")

	counter, err := flavors.Call[*flavors.RemoteReference](t.Context(), p.root, "counter")
	require.NoError(t, err)
	count := func(method string, args ...any) any {
		v, err := flavors.Call[any](t.Context(), counter, method, args...)
		require.NoError(t, err)
		return v
	}
	assert.EqualValues(t, 1, count("incr"))
	assert.EqualValues(t, 3, count("incr", 2))
	assert.Same(t, counter, count("self"))
	_, err = flavors.Call[any](t.Context(), counter, "boom")
	require.Error(t, err)
	assert.EqualValues(t, 0, count("value"), "restarted")
	assert.EqualValues(t, 1, p.asks("counters"))
	counter.Release()
	counter.Release()
	require.Eventually(t, func() bool { return p.asks("counters") == int64(0) }, exampletest.Timeout, time.Millisecond)
}

func TestPonds(t *testing.T) {
	p := visit(t)
	pond, ok := p.asks("pond", "p", []any{"duck"}).(*flavors.Cached[RemotePond])
	require.True(t, ok)
	assert.EqualValues(t, 1, p.asks("pondObservers", "p"))
	p.asks("pondAdd", "p", "swan")
	p.asks("pondRemove", "p", "duck")
	p.fails(flavors.ValueError, "pondRemove", "p", "goose")
	for _, method := range []string{"pondAdd", "pondRemove"} {
		p.fails(flavors.KeyError, method, "q", 1)
	}
	p.fails(flavors.KeyError, "pondObservers", "q")
	require.NoError(t, pond.View(func(c *RemotePond) { assert.Equal(t, []any{"swan"}, c.items) }))
	pond.Release()

	p.fails(flavors.ValueError, "pondState")
	p.fails(flavors.ValueError, "returnPond")
	p.fails(flavors.TypeError, "takePond", nil)
	mine := &Pond{items: []any{int64(1)}}
	p.asks("takePond", mine)
	assert.Equal(t, []any{int64(1)}, p.asks("pondState"))
	assert.Same(t, mine, p.asks("returnPond"))
	p.asks("ignorePond")
}

func TestPages(t *testing.T) {
	p := visit(t)
	pages, err := paging.GetAll(t.Context(), p.root, "pages", 600, 256)
	require.NoError(t, err)
	require.Len(t, pages, 3)
	assert.Equal(t, byte(256%251), pages[1].([]byte)[0])
	_, err = paging.GetAll(t.Context(), p.root, "pages", 600, 0)
	require.ErrorIs(t, err, flavors.ValueError)
	assert.EqualValues(t, 1000, p.asks("collect", &toy{}, "send"))
	p.fails(flavors.NoSuchMethod, "collect", &toy{}, "nothing")
}

func TestLogins(t *testing.T) {
	p := visit(t, "-cred", "moe=secret", "-anonymous")
	as := func(c cred.Credentials) *flavors.RemoteReference {
		avatar, err := p.conn.Login(t.Context(), c, nil)
		require.NoError(t, err)
		return avatar
	}
	ask := func(ref *flavors.RemoteReference, method string) any {
		v, err := flavors.Call[any](t.Context(), ref, method)
		require.NoError(t, err)
		return v
	}
	moe, nobody := as(cred.UsernamePassword{Username: "moe", Password: "secret"}), as(cred.Anonymous{})
	assert.Equal(t, "moe", ask(moe, "whoami"))
	assert.Equal(t, "anonymous", ask(nobody, "whoami"))
	assert.EqualValues(t, 2, ask(moe, "logins"))
	for who, avatar := range map[string]*flavors.RemoteReference{"moe": moe, "anonymous": nobody} {
		assert.Equal(t, who, ask(ask(avatar, "viewable").(*flavors.RemoteReference), "whoami"))
	}
	root := ask(moe, "root").(*flavors.RemoteReference)
	v, err := flavors.Call[int](t.Context(), root, "add", 1, 2)
	require.NoError(t, err)
	assert.Equal(t, 3, v)
	_, err = p.conn.Login(t.Context(), cred.UsernamePassword{Username: "moe", Password: "wrong"}, nil)
	require.ErrorIs(t, err, flavors.UnauthorizedLogin)
}

func TestInvalidArguments(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	require.NoError(t, os.WriteFile(none, nil, 0o600))
	for flags, want := range map[string]string{
		"":                                   "-listen pb://",
		"-listen":                            "flag needs an argument",
		"-listen pb://127.0.0.1:0 more":      "is no flag",
		"-listen gopher://x":                 "gopher",
		"-listen pb://127.0.0.1:0 -cred x":   "user=password",
		"-listen pbs://x -key k":             "need -cert",
		"-listen pbs://x -cert k -key k":     "reading -cert and -key",
		"-listen pbs://x -client-ca " + none: "need -cert",
	} {
		require.ErrorContains(t, runPlain(t.Context(), strings.Fields(flags)), want, flags)
	}
}

// TestDialectsFlag offers the dialects of the flag, and refuses others.
func TestDialectsFlag(t *testing.T) {
	assert.Equal(t, "pb+1", visit(t).conn.Dialect())
	assert.Equal(t, "pb", visit(t, "-dialects", "pb,none").conn.Dialect())
	assert.Equal(t, "none", visit(t, "-dialects", "none").conn.Dialect())
	for _, bad := range []string{"", "pb+2", "pb,", "pb, none"} {
		require.ErrorContains(t, runPlain(t.Context(), []string{"-listen", "pb://127.0.0.1:0", "-dialects", bad}),
			"is not one of pb+1,pb,none", bad)
	}
	require.ErrorContains(t, runPlain(t.Context(), []string{"-listen", "pb://127.0.0.1:0", "-dialects", "pb,pb"}),
		"WithDialects")
}
