package broker_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// dialTCP returns both ends of a connection over TCP. Both publish a service as root.
func dialTCP(t *testing.T, opts ...broker.Option) (here, there *broker.Conn) {
	t.Helper()
	rt := newRuntime(t)
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", &service{}, broker.WithOptions(opts...))
	require.NoError(t, err)
	here, err = broker.Dial(context.Background(), rt, ln.URL(), broker.WithOptions(opts...),
		broker.WithPublished("root", &service{}))
	require.NoError(t, err)
	// The accepting side has negotiated when it has answered a call.
	_, err = flavors.Call[int](context.Background(), here.Root(), "add", 1, 2)
	require.NoError(t, err)
	return here, ln.Conns()[0]
}

func TestLongStringsBothWays(t *testing.T) {
	here, there := dialTCP(t)
	long := strings.Repeat("x", 512<<10)
	var wg sync.WaitGroup
	for _, conn := range []*broker.Conn{here, there} {
		for range 20 {
			wg.Go(func() {
				got, err := flavors.Call[string](t.Context(), conn.Root(), "echo", long)
				assert.NoError(t, err)
				assert.Len(t, got, len(long))
			})
		}
	}
	wg.Wait()
}

// Both sides have more answers than may wait to be written. If both stopped reading, they would deadlock.
func TestBothSidesCongested(t *testing.T) {
	here, there := dialTCP(t, broker.WithLimits(broker.Limits{WriteHighWater: 16 << 10, MaxWriteBacklog: 32 << 10}))
	var wg sync.WaitGroup
	for _, conn := range []*broker.Conn{here, there} {
		for range 100 {
			wg.Go(func() {
				_, err := flavors.Call[string](t.Context(), conn.Root(), "long", 512<<10)
				assert.NoError(t, err)
			})
		}
	}
	wg.Wait()
}

// The caller's goroutine writes as much of a call as the socket takes. The peer reads nothing until all calls have been
// made, so a caller that blocked would deadlock.
func TestCallDoesNotBlockOnWrite(t *testing.T) {
	const calls, size = 40, 600 << 10
	makeCall := map[int]func(*flavors.RemoteReference, []byte) error{
		0: func(r *flavors.RemoteReference, b []byte) error { return r.CallRemoteNoAnswer("note", b) },
		1: func(r *flavors.RemoteReference, b []byte) error {
			_, err, _ := r.CallRemote("note", b).Result()
			return err
		},
	}
	for wants, makeCall := range makeCall {
		t.Run(fmt.Sprintf("answer wanted %d", wants), func(t *testing.T) {
			rt := newRuntime(t)
			listener := wire.Listen(t)
			accepted := make(chan *wire.Peer, 1)
			go func() {
				p := wire.Accept(t, listener)
				p.Host()
				accepted <- p
			}()
			conn, err := broker.Dial(
				t.Context(),
				rt,
				"pb://"+listener.Addr().String(),
				broker.WithLimits(broker.Limits{WriteHighWater: 2 * calls * size}),
			)
			require.NoError(t, err)
			peer := <-accepted
			payload := make([]byte, size)
			for i := range calls {
				payload[0] = byte(i)
				require.NoError(t, makeCall(conn.Root(), payload))
			}
			for i := range calls {
				payload[0] = byte(i)
				peer.WantBytes(noteOf(i+1, wants, payload))
			}
		})
	}
}

// noteOf encodes [message id "root" "note" wants [tuple args…] [dictionary]].
func noteOf(id, wants int, args ...[]byte) []byte {
	encoded := make([][]byte, len(args))
	for i, arg := range args {
		encoded[i] = bytesOf(arg)
	}
	return callOf(id, "note", wants, encoded...)
}
