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

// greeter is an object that our side passes to stock.
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

// bouncer calls its caller back until the number reaches zero.
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

// latecomer reports a call, and answers with what it receives later.
type latecomer struct {
	flavors.Referenceable
	called func()
	answer *actor.Deferred
}

func (l *latecomer) RemoteAsk() *actor.Deferred {
	l.called()
	return l.answer
}

// counters returns the number of live counters on the server.
func (m *meeting) counters(t *testing.T) int {
	t.Helper()
	return call[int](t, m.conn, "counters")
}

func referenceChecks() []clientCheck {
	return []clientCheck{
		{"references", "the server calls what it was lent", func(t *testing.T, m *meeting) {
			g := &greeter{}
			assert.Equal(t, "hello Moe!", call[string](t, m.conn, "callback", g, "greet", []any{"Moe"}))
			_, err := g.Do(func() { assert.Equal(t, []string{"Moe"}, g.heard) }).Await(t.Context())
			require.NoError(t, err)
		}},
		{"references", "our objects come home as themselves", func(t *testing.T, m *meeting) {
			mine, other := &greeter{}, &greeter{}
			call[any](t, m.conn, "hold", "mine", mine)
			assert.Same(t, mine, call[*greeter](t, m.conn, "echo", mine))
			pair := call[[]any](t, m.conn, "callback", mine, "pair", []any{other})
			require.Len(t, pair, 2)
			assert.Same(t, mine, pair[0])
			assert.Same(t, other, pair[1])
			call[any](t, m.conn, "release", "mine")
		}},
		{"references", "an object of ours that nothing holds comes home in time", func(t *testing.T, m *meeting) {
			// Stock releases the reference before it sends the answer that mentions it: the grace period exists for this.
			mine := &greeter{}
			assert.Same(t, mine, call[*greeter](t, m.conn, "echo", mine))
		}},
		{"references", "the server's object is one handle, and its own again there", func(t *testing.T, m *meeting) {
			counter := call[*flavors.RemoteReference](t, m.conn, "counter")
			again, err := flavors.Call[*flavors.RemoteReference](t.Context(), counter, "self")
			require.NoError(t, err)
			assert.Same(t, counter, again)
			call[any](t, m.conn, "hold", "counter", counter)
			assert.Same(t, counter, call[*flavors.RemoteReference](t, m.conn, "held", "counter"))
			n, err := flavors.Call[int](t.Context(), counter, "incr", 5)
			require.NoError(t, err)
			assert.Equal(t, 5, n)
		}},
		{"references", "nested callbacks", func(t *testing.T, m *meeting) {
			assert.Equal(t, "bottom", call[string](t, m.conn, "callback", &bouncer{root: m.conn.Root()}, "bounce", []any{30}))
		}},
		{"references", "a failure of a callback comes through the server and back", func(t *testing.T, m *meeting) {
			_, err := flavors.Call[any](t.Context(), m.conn.Root(), "callback", &greeter{}, "fail", []any{"typed"})
			require.ErrorIs(t, err, errCustom)
			_, err = flavors.Call[any](t.Context(), m.conn.Root(), "callback", &greeter{}, "nothing", []any{})
			require.ErrorIs(t, err, flavors.NoSuchMethod)
		}},
		{"references", "many callbacks at once", func(t *testing.T, m *meeting) {
			g := &greeter{}
			calls := make([]*actor.Deferred, 500)
			for i := range calls {
				calls[i] = m.conn.Root().CallRemote("callback", g, "greet", []any{"x"})
			}
			_, err := actor.All(calls...).Await(t.Context())
			require.NoError(t, err)
		}},
		{"references", "let go by Release", func(t *testing.T, m *meeting) {
			counter := call[*flavors.RemoteReference](t, m.conn, "counter")
			eventually(t, func() bool { return m.counters(t) == 1 }) // Earlier connections may still be closing.
			counter.Release()
			assert.Equal(t, 0, m.counters(t))
			_, err := counter.CallRemote("value").Await(t.Context())
			require.ErrorIs(t, err, flavors.DeadReference)
		}},
		{"references", "let go by garbage collection", func(t *testing.T, m *meeting) {
			for range 20 {
				call[*flavors.RemoteReference](t, m.conn, "counter")
			}
			eventually(t, func() bool { runtime.GC(); return m.counters(t) == 0 })
		}},
		{"references", "let go by an answer that nobody waits for", func(t *testing.T, m *meeting) {
			// The server's answer needs one of ours, so it comes after the wait has ended.
			ctx, cancel := context.WithTimeout(t.Context(), stock.Timeout)
			late := &latecomer{called: cancel, answer: actor.NewDeferred(m.conn.Runtime())}
			_, err := flavors.Call[any](ctx, m.conn.Root(), "callback", late, "ask", []any{})
			require.ErrorIs(t, err, context.Canceled)
			late.answer.Complete(m.conn.Root().CallRemote("counter"), nil)
			eventually(t, func() bool {
				call[any](t, m.conn, "stats") // Collects garbage: the server may hold the latecomer, which holds its answer.
				runtime.GC()
				return m.counters(t) == 0
			})
		}},
		{"references", "its decrefs reach our table", func(t *testing.T, m *meeting) {
			before := m.conn.Exports()
			call[any](t, m.conn, "hold", "mine", &greeter{})
			assert.Equal(t, before+1, m.conn.Exports())
			call[any](t, m.conn, "release", "mine")
			eventually(t, func() bool { call[any](t, m.conn, "add", 1); return m.conn.Exports() == before })
		}},
	}
}
