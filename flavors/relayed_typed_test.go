package flavors_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
)

// typedLocker has all its methods published as functions.
type typedLocker struct {
	flavors.Root
	kept *flavors.Relayed
}

func (*typedLocker) PublishMethods(flavors.Prefix) flavors.MethodSet {
	return flavors.Methods(
		flavors.Func1("func", func(l *typedLocker, _ *flavors.Invocation, x *flavors.Relayed) (any, error) {
			l.kept = x
			return nil, nil
		}, "x"),
		flavors.Proc1("proc", func(l *typedLocker, _ *flavors.Invocation, x *flavors.Relayed) error {
			l.kept = x
			return nil
		}),
		flavors.Method1("method", (*typedLocker).keep),
		flavors.Func2("second",
			func(l *typedLocker, _ *flavors.Invocation, n int, x *flavors.Relayed) (int, error) {
				l.kept = x
				return n, nil
			}),
		flavors.Func0("fetch", func(l *typedLocker, _ *flavors.Invocation) (*flavors.Relayed, error) {
			return l.kept, nil
		}),
	)
}

func (l *typedLocker) keep(x *flavors.Relayed) (any, error) {
	l.kept = x
	return nil, nil
}

// typedDuck is a copy whose class the server does not know.
type typedDuck struct {
	flavors.Copyable
	Name string `pb:"name"`
}

func (*typedDuck) TypeToCopy() string { return "pond.Duck" }

// TestRelayedInTypedFunctions: functions that are published as methods keep values as they came, as methods do.
func TestRelayedInTypedFunctions(t *testing.T) {
	for name, options := range map[string][]broker.ListenOption{"relaying": {broker.WithRelaying()}, "plain": nil} {
		t.Run(name, func(t *testing.T) {
			rt := pbtest.NewRuntime(t)
			ln, err := broker.Listen(rt, "pb://127.0.0.1:0", &typedLocker{}, options...)
			require.NoError(t, err)
			known := jelly.NewRegistry()
			require.NoError(t, flavors.RegisterCopy[typedDuck](known, "pond.Duck"))
			conn, err := broker.Dial(t.Context(), rt, ln.URL(), broker.WithRegistry(known))
			require.NoError(t, err)
			value := any([]any{1, "two"})
			if name == "relaying" {
				value = &typedDuck{Name: "dora"}
			}
			for _, call := range [][]any{{"func", value}, {"proc", value}, {"method", value}, {"second", 7, value}} {
				_, err := flavors.Call[any](t.Context(), conn.Root(), call[0].(string), call[1:]...)
				require.NoError(t, err, call[0])
				got, err := flavors.Call[any](t.Context(), conn.Root(), "fetch")
				require.NoError(t, err, call[0])
				if d, ok := got.(*typedDuck); ok {
					assert.Equal(t, "dora", d.Name)
				} else {
					assert.NotNil(t, got)
				}
			}
		})
	}
}

// Objects with a *Relayed where none can be.
type (
	relayedList struct{ flavors.Root }
	relayedDict struct{ flavors.Root }
	keptBeyond  struct{ flavors.Root }
)

func (*relayedList) RemoteTake([]*flavors.Relayed)          {}
func (*relayedDict) RemoteTake(map[string]*flavors.Relayed) {}
func (*keptBeyond) PublishMethods(flavors.Prefix) flavors.MethodSet {
	take := func(*keptBeyond, *flavors.Invocation) (any, error) { return nil, nil }
	return flavors.Methods(flavors.FuncCall("take", take, flavors.KeptArgument{Name: "x", Position: 64}))
}

func TestRelayedWithinOtherTypes(t *testing.T) {
	const own = "parameter 1 cannot be filled from the wire: a *flavors.Relayed is a parameter of its own"
	for recv, want := range map[any]string{
		&relayedList{}: own, &relayedDict{}: own, &keptBeyond{}: `function "take": no argument has the position 64`,
	} {
		_, err := flavors.TableOf(recv, flavors.PrefixRemote)
		require.ErrorContains(t, err, want)
	}
}

// optionLocker has methods whose keywords are kept as they came.
type optionLocker struct{ typedLocker }

type keptOption struct {
	N int              `pb:"n,omitempty"`
	X *flavors.Relayed `pb:"x"`
}

func (l *optionLocker) RemoteOption(_ int, o keptOption)           { l.kept = o.X }
func (l *optionLocker) RemoteBoth(o *keptOption, _ ...int)         { l.kept = o.X }
func (l *optionLocker) RemoteRest(_ string, x ...*flavors.Relayed) { l.kept = x[0] }
func (*optionLocker) PublishMethods(flavors.Prefix) flavors.MethodSet {
	take := func(l *optionLocker, inv *flavors.Invocation) (any, error) {
		var err error
		if inv.Kw == nil {
			l.kept, err = flavors.As[*flavors.Relayed](inv.Args[1], nil)
			return inv.Args[0], err
		}
		l.kept, err = flavors.As[*flavors.Relayed](inv.Kw.Entries()[0].Value, nil)
		return nil, err
	}
	return flavors.Methods(
		flavors.FuncCall("whole", take,
			flavors.KeptArgument{Name: "x", Position: 1, Rest: true}, flavors.KeptArgument{Name: "only", Position: -1}),
		flavors.Func0("fetch", func(l *optionLocker, _ *flavors.Invocation) (*flavors.Relayed, error) {
			return l.kept, nil
		}),
	)
}

// TestRelayedKeywords: keywords and arguments of functions that take the whole call are kept as they came.
func TestRelayedKeywords(t *testing.T) {
	duck := &typedDuck{Name: "dora"}
	for _, relaying := range []bool{true, false} {
		rt := pbtest.NewRuntime(t)
		known := jelly.NewRegistry()
		require.NoError(t, flavors.RegisterCopy[typedDuck](known, "pond.Duck"))
		option := broker.WithRelaying()
		if !relaying {
			option = broker.WithRegistry(known)
		}
		ln, err := broker.Listen(rt, "pb://127.0.0.1:0", &optionLocker{}, option)
		require.NoError(t, err)
		conn, err := broker.Dial(t.Context(), rt, ln.URL(), broker.WithRegistry(known))
		require.NoError(t, err)
		for _, call := range [][]any{
			{"option", 1, flavors.Kw{"x": duck}}, {"option", 1, 2, duck}, {"both", 1, 2, flavors.Kw{"x": duck}},
			{"rest", "a", duck}, {"whole", 1, duck}, {"whole", flavors.Kw{"x": duck}}, {"whole", flavors.Kw{"only": duck}},
			{"whole", nil, duck, nil}, {"option", 1, map[string]any{"n": 2, "x": duck}},
		} {
			_, err := flavors.Call[any](t.Context(), conn.Root(), call[0].(string), call[1:]...)
			require.NoError(t, err, "%v, relaying %v", call, relaying)
			got, err := flavors.Call[any](t.Context(), conn.Root(), "fetch")
			require.NoError(t, err)
			assert.Equal(t, duck, got, "%v, relaying %v", call, relaying)
		}
	}
}
