package interop

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/stock"
)

// greeter is what our side lends to stock.
type greeter struct {
	flavors.Referenceable
	heard []string
}

func (g *greeter) RemoteGreet(name string) string {
	g.heard = append(g.heard, name)
	return "hello " + name + "!"
}

func (g *greeter) RemotePair(other any) []any { return []any{g, other} }

func (g *greeter) RemoteFail(kind string) error {
	if kind == "typed" {
		return errCustom.New("inner")
	}
	return errors.New("plain")
}

// bouncer calls back whoever called it, until the number is used up.
type bouncer struct {
	flavors.Referenceable
	root *flavors.RemoteReference
}

func (b *bouncer) RemoteBounce(n int) (any, error) {
	if n == 0 {
		return "bottom", nil
	}
	return b.root.CallRemote("callback", b, "bounce", []any{n - 1}), nil
}

func TestReferencesBetweenOursAndStock(t *testing.T) {
	conn, _ := dialStock(t)
	t.Run("stock calls what it was lent", func(t *testing.T) {
		g := &greeter{}
		assert.Equal(t, "hello Moe!", call[string](t, conn, "callback", g, "greet", []any{"Moe"}))
		_, err := g.Do(func() { assert.Equal(t, []string{"Moe"}, g.heard) }).Await(t.Context())
		require.NoError(t, err)
	})
	t.Run("our objects come home as themselves", func(t *testing.T) {
		mine, other := &greeter{}, &greeter{}
		call[any](t, conn, "hold", "mine", mine)
		assert.Same(t, mine, call[*greeter](t, conn, "echo", mine))
		pair := call[[]any](t, conn, "callback", mine, "pair", []any{other})
		require.Len(t, pair, 2)
		assert.Same(t, mine, pair[0])
		assert.Same(t, other, pair[1])
		call[any](t, conn, "release", "mine")
	})
	t.Run("an object of ours that nothing holds comes home in time", func(t *testing.T) {
		// Stock gives the reference back before it sends the answer that mentions it: this is what the grace is for.
		mine := &greeter{}
		assert.Same(t, mine, call[*greeter](t, conn, "echo", mine))
	})
	t.Run("stock's object is one handle, and its own again there", func(t *testing.T) {
		counter := call[*flavors.RemoteReference](t, conn, "counter")
		again, err := flavors.Call[*flavors.RemoteReference](t.Context(), counter, "self")
		require.NoError(t, err)
		assert.Same(t, counter, again)
		call[any](t, conn, "hold", "counter", counter)
		assert.Same(t, counter, call[*flavors.RemoteReference](t, conn, "held", "counter"))
		n, err := flavors.Call[int](t.Context(), counter, "incr", 5)
		require.NoError(t, err)
		assert.Equal(t, 5, n)
	})
	t.Run("nested callbacks", func(t *testing.T) {
		assert.Equal(t, "bottom", call[string](t, conn, "callback", &bouncer{root: conn.Root()}, "bounce", []any{30}))
	})
	t.Run("a failure of a callback comes through stock and back", func(t *testing.T) {
		_, err := flavors.Call[any](t.Context(), conn.Root(), "callback", &greeter{}, "fail", []any{"typed"})
		require.ErrorIs(t, err, errCustom)
		_, err = flavors.Call[any](t.Context(), conn.Root(), "callback", &greeter{}, "nothing", []any{})
		require.ErrorIs(t, err, flavors.NoSuchMethod)
	})
	t.Run("many callbacks at once", func(t *testing.T) {
		g := &greeter{}
		calls := make([]*actor.Deferred, 500)
		for i := range calls {
			calls[i] = conn.Root().CallRemote("callback", g, "greet", []any{"x"})
		}
		_, err := actor.All(calls...).Await(t.Context())
		require.NoError(t, err)
	})
}

func TestDecrefs(t *testing.T) {
	conn, _ := dialStock(t)
	counters := func() int { return call[int](t, conn, "counters") }
	t.Run("by Release", func(t *testing.T) {
		counter := call[*flavors.RemoteReference](t, conn, "counter")
		require.Equal(t, 1, counters())
		counter.Release()
		assert.Equal(t, 0, counters())
		_, err := counter.CallRemote("value").Await(t.Context())
		require.ErrorIs(t, err, flavors.DeadReference)
	})
	t.Run("by garbage collection", func(t *testing.T) {
		for range 20 {
			call[*flavors.RemoteReference](t, conn, "counter")
		}
		eventually(t, func() bool { runtime.GC(); return counters() == 0 })
	})
	t.Run("by an answer that nobody waits for", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := flavors.Call[any](ctx, conn.Root(), "counter")
		require.ErrorIs(t, err, context.Canceled)
		eventually(t, func() bool { runtime.GC(); return counters() == 0 })
	})
	t.Run("stock's decrefs reach our table", func(t *testing.T) {
		before := conn.Exports()
		call[any](t, conn, "hold", "mine", &greeter{})
		assert.Equal(t, before+1, conn.Exports())
		call[any](t, conn, "release", "mine")
		eventually(t, func() bool { call[any](t, conn, "add", 1); return conn.Exports() == before })
	})
}

func TestNoAnswerCalls(t *testing.T) {
	conn, server := dialStock(t)
	require.NoError(t, conn.Root().CallRemoteNoAnswer("note", "unanswered"))
	server.WaitLine("note unanswered")
	require.NoError(t, conn.Root().CallRemoteNoAnswer("fail", "error", "unheard"))
	require.NoError(t, conn.Root().CallRemoteNoAnswer("noSuchThing"))
	assert.Equal(t, 3, call[int](t, conn, "add", 1, 2), "nothing came back for them, or the connection would be gone")
}

// eventually tries again until the condition holds or the patience is over; the condition itself takes a round trip.
func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), stock.Patience)
	defer cancel()
	for !condition() {
		require.NoError(t, ctx.Err(), "it never came true")
	}
}
