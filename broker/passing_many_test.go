package broker_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// countingAdder adds, and counts how often each sum was asked for.
type countingAdder struct {
	flavors.Referenceable
	asked [512]atomic.Int32
}

func (t *countingAdder) PublishMethods(flavors.Prefix) flavors.MethodSet {
	return flavors.Methods(flavors.Method2("add", func(t *countingAdder, a, b int) (int, error) {
		t.asked[a+b].Add(1)
		return a + b, nil
	}))
}

// behindAnother serves an object in a process of its own, and connects a relay's runtime to it.
func behindAnother(t *testing.T, object any, options ...broker.DialOption) (*broker.Conn, *flavors.RemoteReference) {
	t.Helper()
	far, err := broker.Listen(pbtest.NewRuntime(t), "pb://127.0.0.1:0", object, broker.WithRelaying())
	require.NoError(t, err)
	conn, err := broker.Dial(t.Context(), pbtest.NewRuntime(t), far.URL(), append(options, broker.WithRelaying())...)
	require.NoError(t, err)
	return conn, conn.Root()
}

// TestPassedCallsOfMany has many callers, a gateway that may have few calls under way, so that some wait, and
// connections of callers that end meanwhile. Each answer is for its call, no call fails, and none is carried out twice.
func TestPassedCallsOfMany(t *testing.T) {
	const callers, calls = 16, 32
	few := broker.WithLimits(broker.Limits{CallsOut: 16})
	for _, dialect := range []banana.Profile{banana.ProfilePB, banana.ProfilePB1} {
		dialects := broker.WithDialects(dialect)
		object, here := &countingAdder{}, &countingAdder{}
		conn, far := behindAnother(t, object, few, dialects)
		rt := conn.Runtime()
		_, err := flavors.Spawn(rt, here)
		require.NoError(t, err)
		var passed atomic.Int32
		p := newPasser(func(inv *flavors.Invocation) {
			if passed.Add(1)%4 == 0 {
				inv.PassToObject(here)
			} else {
				inv.PassTo(far)
			}
		})
		ln, err := broker.Listen(rt, "pb://127.0.0.1:0", p, broker.WithRelaying(), dialects)
		require.NoError(t, err)

		client := pbtest.NewRuntime(t)
		var all sync.WaitGroup
		for caller := range callers {
			conn, err := broker.Dial(t.Context(), client, ln.URL(), dialects)
			require.NoError(t, err)
			ref, err := flavors.Call[*flavors.RemoteReference](t.Context(), conn.Root(), "relay")
			require.NoError(t, err)
			leaves := caller%4 == 3
			for part := range 4 {
				all.Go(func() {
					for n := part * calls / 4; n < (part+1)*calls/4; n++ {
						ctx, cancel := context.WithCancel(t.Context())
						if n%16 == 5 {
							go cancel()
						}
						sum, err := flavors.Call[int](ctx, ref, "add", caller*calls, n)
						cancel()
						switch {
						case err == nil:
							assert.Equal(t, caller*calls+n, sum)
						case !leaves:
							assert.True(t, errors.Is(err, context.Canceled) || errors.Is(err, flavors.Canceled), "%v", err)
						}
						if leaves && part == 1 && n%calls == calls/3 {
							conn.Abort(nil)
						}
					}
				})
			}
		}
		all.Wait()
		for i := range object.asked {
			assert.LessOrEqual(t, object.asked[i].Load()+here.asked[i].Load(), int32(1))
		}
	}
}
