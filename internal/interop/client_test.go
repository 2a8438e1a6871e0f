package interop

import (
	"bytes"
	"context"
	"math/big"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/stock"
)

// dialStock starts a stock server and connects to it.
func dialStock(t *testing.T, opts ...broker.Option) (*broker.Conn, *stock.Process) {
	t.Helper()
	server := Server(t)
	conn, err := broker.Dial(t.Context(), newRuntime(t), "pb://"+server.Addr(), opts...)
	require.NoError(t, err)
	return conn, server
}

// call calls the root of a stock server.
func call[T any](t *testing.T, conn *broker.Conn, method string, args ...any) T {
	t.Helper()
	v, err := flavors.Call[T](t.Context(), conn.Root(), method, args...)
	require.NoError(t, err, method)
	return v
}

func TestOurClientMeetsStock(t *testing.T) {
	conn, _ := dialStock(t)
	t.Run("positional and keyword arguments", func(t *testing.T) {
		assert.Equal(t, 3, call[int](t, conn, "add", 1, 2))
		assert.Equal(t, 11, call[int](t, conn, "add", 1))
		assert.Equal(t, 6, call[int](t, conn, "add", 1, flavors.Kw{"b": 5}))
		assert.Equal(t, 3, call[int](t, conn, "add", flavors.Kw{"a": 1, "b": 2}))
		both := call[[]any](t, conn, "kwargs", 1, "two", flavors.Kw{"three": 3})
		require.Len(t, both, 2)
		assert.Equal(t, []any{int64(1), "two"}, both[0])
		three, _ := both[1].(*jelly.Dict).GetName("three")
		assert.Equal(t, int64(3), three)
	})
	t.Run("values of every plain type", func(t *testing.T) {
		huge := new(big.Int).Lsh(big.NewInt(1), 400)
		for _, v := range []any{nil, true, false, int64(0), int64(-1 << 31), int64(1 << 40), huge, 1.5, "text", []byte("\x00list")} {
			assert.Equal(t, v, call[any](t, conn, "echo", v))
		}
		assert.Equal(t, []any{int64(1), jelly.Tuple{"a"}}, call[any](t, conn, "echo", []any{1, jelly.Tuple{"a"}}))
		assert.Equal(t, map[string]int{"a": 1}, call[map[string]int](t, conn, "echo", map[string]int{"a": 1}))
		blob := bytes.Repeat([]byte("0123456789abcdef"), 40<<10)
		assert.True(t, bytes.Equal(blob, call[[]byte](t, conn, "echo", blob)), "640 KiB come back as they went")
	})
	t.Run("shared and circular values", func(t *testing.T) {
		ring := []any{1, nil}
		ring[1] = ring
		got := call[[]any](t, conn, "echo", ring)
		inner, ok := got[1].([]any)
		require.True(t, ok)
		assert.Same(t, &got[0], &inner[0])
	})
	t.Run("ten thousand calls in flight", func(t *testing.T) {
		calls := make([]*actor.Deferred, 10_000)
		for i := range calls {
			calls[i] = conn.Root().CallRemote("add", i, 1)
		}
		for i, d := range calls {
			v, err := d.Await(t.Context())
			require.NoError(t, err)
			require.Equal(t, int64(i+1), v)
		}
	})
	t.Run("a late answer holds up nobody", func(t *testing.T) {
		slow := conn.Root().CallRemote("later", 500, "slow")
		assert.Equal(t, 3, call[int](t, conn, "add", 1, 2))
		_, _, done := slow.Result()
		assert.False(t, done)
		v, err := slow.Await(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "slow", v)
	})
}

func TestOurClientTrapsStockFailures(t *testing.T) {
	conn, _ := dialStock(t)
	for name, test := range map[string]struct {
		method string
		args   []any
		is     []error
		isNot  []error
		says   string
		typ    string
	}{
		"plain": {
			method: "fail", args: []any{"error", "it broke"}, says: "it broke", typ: "builtins.Exception",
			is: []error{flavors.PlainException}, isNot: []error{errCustom, flavors.PBError, flavors.NoSuchMethod},
		},
		"custom": {
			method: "fail", args: []any{"typed", "mine"}, says: "mine", typ: "conformance.Custom",
			is: []error{errCustom, flavors.PlainException}, isNot: []error{errExpected, flavors.PBError},
		},
		"pb.Error": {
			method: "fail", args: []any{"expected", "known"}, says: "known", typ: "conformance.Expected",
			is: []error{errExpected, flavors.PBError, flavors.PlainException}, isNot: []error{errCustom},
		},
		"runtime": {
			method: "fail", args: []any{"panic", "argh"}, says: "argh", typ: "builtins.RuntimeError",
			is: []error{flavors.RuntimeError, flavors.PlainException},
		},
		"no such method": {
			method: "noSuchThing", says: "No such method: remote_noSuchThing", typ: "twisted.spread.flavors.NoSuchMethod",
			is: []error{flavors.NoSuchMethod, flavors.AttributeError},
		},
		"wrong arguments": {
			method: "add", args: []any{1, 2, 3}, says: "positional arguments", typ: "builtins.TypeError",
			is: []error{flavors.TypeError},
		},
		"insecure jelly": {
			method: "echo", args: []any{&jelly.Instance{Class: "conformance.Nobody", State: jelly.NewDict()}},
			says: "not allowed", typ: "twisted.spread.jelly.InsecureJelly", is: []error{flavors.InsecureJelly},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := flavors.Call[any](t.Context(), conn.Root(), test.method, test.args...)
			require.Error(t, err)
			for _, target := range test.is {
				assert.ErrorIs(t, err, target)
			}
			for _, target := range test.isNot {
				assert.NotErrorIs(t, err, target)
			}
			var failure *flavors.Failure
			require.ErrorAs(t, err, &failure)
			assert.Equal(t, test.typ, failure.Type)
			assert.Contains(t, failure.Value, test.says)
			assert.True(t, flavors.IsRemote(err))
			assert.Equal(t, 3, call[int](t, conn, "add", 1, 2), "the connection goes on")
		})
	}
	t.Run("what cannot be sent fails here", func(t *testing.T) {
		_, err := flavors.Call[any](t.Context(), conn.Root(), "echo", make(chan int))
		var insecure *jelly.InsecureJellyError
		require.ErrorAs(t, err, &insecure)
		assert.False(t, flavors.IsRemote(err))
	})
	t.Run("a dead object", func(t *testing.T) {
		gone := flavors.NewRemoteReference(conn, 4711, nil)
		_, err := flavors.Call[any](t.Context(), gone, "value")
		require.ErrorIs(t, err, flavors.PBError)
		assert.ErrorContains(t, err, "Invalid Object ID")
	})
}

func TestConnectionLossFailsWhatIsPending(t *testing.T) {
	conn, server := dialStock(t)
	pending := conn.Root().CallRemote("never")
	call[int](t, conn, "add", 1, 2)
	server.Kill()
	_, err := pending.Await(t.Context())
	require.ErrorIs(t, err, flavors.ConnectionLost)
	assert.False(t, flavors.IsRemote(err))
	<-conn.Done()
	_, err = conn.Root().CallRemote("add", 1).Await(t.Context())
	require.ErrorIs(t, err, flavors.DeadReference)
}

func TestStockServerClosesTheConnection(t *testing.T) {
	conn, _ := dialStock(t)
	_, err := conn.Root().CallRemote("close").Await(t.Context())
	require.ErrorIs(t, err, flavors.ConnectionLost)
	<-conn.Done()
	assert.ErrorIs(t, context.Cause(conn.Context()), broker.ErrPeerClosed)
	assert.NotErrorIs(t, context.Cause(conn.Context()), broker.ErrClosed)
}
