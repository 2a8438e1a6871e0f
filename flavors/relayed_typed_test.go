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
