package broker

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/flavors"
)

// adder is an object that a Relay passes calls to.
type adder struct{ flavors.Referenceable }

func (*adder) RemoteAdd(a, b int) int                         { return a + b }
func (*adder) RemoteCount(list []int) int                     { return len(list) }
func (*adder) RemoteKeep(x *flavors.Relayed) *flavors.Relayed { return x }
func (*adder) RemoteCall(f *flavors.RemoteReference) bool     { return f != nil }

// relayRoot publishes a Relay.
type relayRoot struct {
	flavors.Referenceable
	relay *flavors.Relay
}

func (r *relayRoot) RemoteRelay() *flavors.Relay { return r.relay }

// The decoder is told of the methods of a Relay's calls once one has been passed to an object of the process, and
// decodes those that do not keep their arguments as they came.
func TestDecoderLearnsOfRelays(t *testing.T) {
	rt, client := runtimeOf(t), runtimeOf(t)
	object := &adder{}
	_, err := flavors.Spawn(rt, object)
	require.NoError(t, err)
	root := &relayRoot{relay: flavors.NewRelay(func(inv *flavors.Invocation) { inv.PassToObject(object) })}
	ln, err := Listen(rt, "pb://127.0.0.1:0", root, WithRelaying())
	require.NoError(t, err)
	for _, one := range []struct {
		method  string
		args    []any
		decoded bool
	}{
		{"add", []any{1, 2}, true},
		{"count", []any{[]int{1, 2}}, true},
		{"keep", []any{3}, false},
		{"call", []any{&adder{}}, false},
	} {
		t.Run(one.method, func(t *testing.T) { // Each has a connection, since methods of one may share a slot.
			conn, err := Dial(t.Context(), client, ln.URL())
			require.NoError(t, err)
			defer conn.Abort(nil)
			ref, err := flavors.Call[*flavors.RemoteReference](t.Context(), conn.Root(), "relay")
			require.NoError(t, err)
			for range 2 * maxDirectRefused {
				_, err := flavors.Call[any](t.Context(), ref, one.method, one.args...)
				require.NoError(t, err)
			}
			require.Equal(t, one.decoded, decodesEarly(ln, one.method))
		})
	}
}

// decodesEarly reports whether the decoder of a connection decodes a method of a Relay.
func decodesEarly(ln *Listener, method string) bool {
	for _, conn := range ln.Conns() {
		methods := conn.c.directMethods.Load()
		if methods == nil {
			continue
		}
		for i := range methods.slots {
			m := methods.slots[i].Load()
			if m != nil && m.method == method && m.outdated != nil && !m.outdated() && m.decode != nil {
				return true
			}
		}
	}
	return false
}

func runtimeOf(t *testing.T) *actor.Runtime {
	t.Helper()
	rt, err := actor.NewRuntime()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, rt.Close(context.Background())) })
	return rt
}
