package broker_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/fault"
	"github.com/stretchr/testify/require"
)

func TestWithDialer(t *testing.T) {
	rt := newRuntime(t)
	pipe := broker.NewPipeListener()
	_, err := broker.ListenOn(rt, pipe, &service{})
	require.NoError(t, err)
	var asked atomic.Value
	dial := broker.WithDialer(func(ctx context.Context, network, address string) (net.Conn, error) {
		asked.Store(network + " " + address)
		return pipe.Dial(ctx)
	})
	conn, err := broker.Dial(t.Context(), rt, "pb://nowhere.example:8800", dial)
	require.NoError(t, err)
	require.Equal(t, "tcp nowhere.example:8800", asked.Load())
	n, err := flavors.Call[int](t.Context(), conn.Root(), "add", 1, 2)
	require.NoError(t, err)
	require.Equal(t, 3, n)
	_, err = broker.Dial(t.Context(), rt, "pb://nowhere.example:8800",
		broker.WithDialer(func(context.Context, string, string) (net.Conn, error) { return nil, errPlain }))
	require.ErrorIs(t, err, errPlain)
	_, err = broker.Dial(t.Context(), rt, "pb://nowhere.example:8800", broker.WithDialer(nil))
	require.ErrorContains(t, err, "no function")
}

// TestReconnectOverFailingNetwork: each session ends somewhere else, and there is another one, until one holds.
func TestReconnectOverFailingNetwork(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		rt := newRuntime(t)
		pipe := broker.NewPipeListener()
		_, err := broker.ListenOn(rt, pipe, &service{})
		require.NoError(t, err)
		plans := []fault.Plan{
			{End: fault.Drop, After: 3}, {End: fault.Blackhole, After: 20}, {End: fault.HalfClose, After: 60},
			{End: fault.Reset, After: 150}, {End: fault.Blackhole, After: 200},
		}
		var dials atomic.Int64
		session := func(ctx context.Context, conn *broker.Conn) (int, error) {
			return flavors.Call[int](ctx, conn.Root(), "add", 1, 2)
		}
		c, err := broker.Reconnect(rt, "pb://nowhere.example:8800", session,
			broker.WithKeepalive(1e9, 1e9), broker.WithDialer(func(ctx context.Context, _, _ string) (net.Conn, error) {
				sock, err := pipe.Dial(ctx)
				if n := dials.Add(1); err == nil && int(n) <= len(plans) {
					return fault.New(sock, plans[n-1]), nil
				}
				return sock, err
			}))
		require.NoError(t, err)
		for done := false; !done; {
			conn, err := c.Conn(t.Context())
			require.NoError(t, err)
			for range 10 {
				if _, err = flavors.Call[int](t.Context(), conn.Root(), "add", 1, 2); err != nil {
					break
				}
			}
			done = err == nil
			if !done {
				<-conn.Done()
			}
		}
		require.EqualValues(t, len(plans)+1, dials.Load())
		require.NoError(t, c.Close(t.Context()))
	})
}
