package interop

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/seam"
)

// internal has references that no peer has sent.
var internal = flavors.Internal.Export(seam.Token{})

func callChecks() []clientCheck {
	checks := []clientCheck{
		{"calls", "positional and keyword arguments", func(t *testing.T, m *meeting) {
			assert.Equal(t, 3, call[int](t, m.conn, "add", 1, 2))
			assert.Equal(t, 11, call[int](t, m.conn, "add", 1))
			assert.Equal(t, 6, call[int](t, m.conn, "add", 1, flavors.Kw{"b": 5}))
			assert.Equal(t, 3, call[int](t, m.conn, "add", flavors.Kw{"a": 1, "b": 2}))
			both := call[[]any](t, m.conn, "kwargs", 1, "two", flavors.Kw{"three": 3})
			require.Len(t, both, 2)
			assert.Equal(t, []any{int64(1), "two"}, both[0])
			three, _ := both[1].(*jelly.Dict).GetName("three")
			assert.Equal(t, int64(3), three)
		}},
		{"calls", "ten thousand calls in flight", func(t *testing.T, m *meeting) {
			calls := make([]*actor.Deferred, 10_000)
			for i := range calls {
				require.NoError(t, m.conn.WaitWritable(t.Context())) // CallRemote fails where Call waits.
				calls[i] = m.conn.Root().CallRemote("add", i, 1)
			}
			for i, d := range calls {
				v, err := d.Await(t.Context())
				require.NoError(t, err)
				require.Equal(t, int64(i+1), v)
			}
		}},
		{"calls", "a late answer delays no other call", func(t *testing.T, m *meeting) {
			assert.Equal(t, "late", call[string](t, m.conn, "later", 10, "late"))
			// The server's answer needs one of ours, so it comes when we say.
			called, answer := make(chan struct{}), actor.NewDeferred(m.conn.Runtime())
			slow := m.conn.Root().CallRemote("callback", &latecomer{
				called: func() { close(called) }, answer: answer,
			}, "ask", []any{})
			<-called
			assert.Equal(t, 3, call[int](t, m.conn, "add", 1, 2))
			_, _, done := slow.Result()
			assert.False(t, done)
			answer.Complete("slow", nil)
			v, err := slow.Await(t.Context())
			require.NoError(t, err)
			assert.Equal(t, "slow", v)
		}},
		{"calls", "what cannot be sent fails here", func(t *testing.T, m *meeting) {
			_, err := flavors.Call[any](t.Context(), m.conn.Root(), "echo", make(chan int))
			var insecure *jelly.InsecureJellyError
			require.ErrorAs(t, err, &insecure)
			assert.False(t, flavors.IsRemote(err))
		}},
		{"calls", "a dead object", func(t *testing.T, m *meeting) {
			gone := internal.NewRemoteReference(internal.ConnOf(m.conn.Root()), 4711, nil)
			_, err := flavors.Call[any](t.Context(), gone, "value")
			require.ErrorIs(t, err, flavors.PBError)
			assert.ErrorContains(t, err, "Invalid Object ID")
		}},
	}
	return append(checks, failureChecks()...)
}

// failing is a call that fails, and how.
type failing struct {
	name, method string
	args         []any
	typ, says    string // stock's; other servers have other texts
	is, isNot    []error
	onlyStock    bool
}

func failings() []failing {
	return []failing{
		{
			name: "plain", method: "fail", args: []any{"error", "it broke"},
			says: "it broke", typ: "builtins.Exception",
			is: []error{flavors.PlainException}, isNot: []error{errCustom, flavors.PBError, flavors.NoSuchMethod},
		},
		{
			name: "custom", method: "fail", args: []any{"typed", "mine"}, says: "mine", typ: "conformance.Custom",
			is: []error{errCustom, flavors.PlainException}, isNot: []error{errExpected, flavors.PBError},
		},
		{
			name: "pb.Error", method: "fail", args: []any{"expected", "known"},
			says: "known", typ: "conformance.Expected",
			is:    []error{errExpected, flavors.PBError, flavors.PlainException},
			isNot: []error{errCustom}, onlyStock: true,
		},
		{
			name: "panic", method: "fail", args: []any{"panic", "argh"}, says: "argh", typ: "builtins.RuntimeError",
			is: []error{flavors.RuntimeError, flavors.PlainException},
		},
		{
			name: "no such method", method: "noSuchThing", says: "No such method: remote_noSuchThing",
			typ: "twisted.spread.flavors.NoSuchMethod", is: []error{flavors.NoSuchMethod, flavors.AttributeError},
		},
		{
			name: "wrong arguments", method: "add", args: []any{1, 2,
				3}, says: "positional arguments", typ: "builtins.TypeError",
			is: []error{flavors.TypeError},
		},
		{
			name: "insecure jelly", method: "echo", args: []any{&jelly.Instance{Class: "conformance.Nobody",
				State: jelly.NewDict()}},
			says: "not allowed", typ: "twisted.spread.jelly.InsecureJelly", is: []error{flavors.InsecureJelly},
		},
	}
}

func failureChecks() []clientCheck {
	var checks []clientCheck
	for _, test := range failings() {
		checks = append(checks, clientCheck{"calls", "fails: " + test.name, func(t *testing.T, m *meeting) {
			if test.onlyStock && !m.stock {
				return // Only the stock server has this failure.
			}
			_, err := flavors.Call[any](t.Context(), m.conn.Root(), test.method, test.args...)
			require.Error(t, err)
			for _, target := range test.is {
				assert.ErrorIs(t, err, target)
			}
			for _, target := range test.isNot {
				assert.NotErrorIs(t, err, target)
			}
			var failure *flavors.Failure
			require.ErrorAs(t, err, &failure)
			if m.stock {
				assert.Equal(t, test.typ, failure.Type)
				assert.Contains(t, failure.Value, test.says)
			}
			assert.True(t, flavors.IsRemote(err))
			assert.Equal(t, 3, call[int](t, m.conn, "add", 1, 2), "the connection goes on")
		}})
	}
	return checks
}
