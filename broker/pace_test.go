package broker_test

import (
	"context"
	"testing"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// counterSink counts what it is sent.
type counterSink struct {
	flavors.Root
	n int
}

func (s *counterSink) RemotePut([]byte) { s.n++ }

func (s *counterSink) RemoteCount() int { return s.n }

// A producer that uses Send or Start keeps to the pace of its peer: no call is refused for want of room.
func TestSendKeepsPace(t *testing.T) {
	const calls = 4000
	s := newServer(t, &counterSink{})
	conn, err := broker.NewClientConn(t.Context(), newRuntime(t), s.dial(),
		broker.WithLimits(broker.Limits{WriteHighWater: 16 << 10}))
	require.NoError(t, err)
	chunk := make([]byte, 4<<10)
	t.Run("Send", func(t *testing.T) {
		for range calls {
			require.NoError(t, flavors.Send(t.Context(), conn.Root(), "put", chunk))
		}
	})
	t.Run("Start", func(t *testing.T) {
		for range calls {
			flavors.Start(t.Context(), conn.Root(), "put", chunk).OnComplete(func(_ any, err error) {
				assert.NoError(t, err)
			})
		}
	})
	n, err := flavors.Call[int](t.Context(), conn.Root(), "count")
	require.NoError(t, err)
	require.Equal(t, 2*calls, n)
	require.Zero(t, conn.Stats().Refusals["write high water"])
}

// Send waits for a peer that does not read until its context ends.
func TestSendEndsWithContext(t *testing.T) {
	conn, p := client(t, broker.WithLimits(broker.Limits{WriteHighWater: 1 << 10}))
	ctx, cancel := context.WithCancel(t.Context())
	sent := make(chan error, 1)
	go func() {
		var err error
		for err == nil {
			err = flavors.Send(ctx, conn.Root(), "put", make([]byte, 1<<10))
		}
		sent <- err
	}()
	p.Want(`[message 1 root put 0 _ _]`)
	cancel()
	require.ErrorIs(t, <-sent, context.Canceled)
	require.Error(t, flavors.Send(nil, conn.Root(), "put"))             //nolint:staticcheck // nil is the case
	_, err := flavors.Start(nil, conn.Root(), "put").Await(t.Context()) //nolint:staticcheck // likewise
	require.Error(t, err)
	require.ErrorIs(t, flavors.Send(t.Context(), nil, "put"), flavors.DeadReference)
}
