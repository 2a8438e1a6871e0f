package broker_test

import (
	"bytes"
	"net"
	"sync"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// vault stores its arguments.
type vault struct {
	flavors.Root
	kept [][]byte
}

func (v *vault) RemoteKeep(b []byte) []byte {
	v.kept = append(v.kept, b)
	return b
}

func (v *vault) RemoteCount() int { return len(v.kept) }

// pattern returns a string that differs from all others at both ends.
func pattern(n, size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(n + i%251)
	}
	return b
}

// Long strings stay in the buffer that they were read into. What is read later must not overwrite them.
func TestAliasedStrings(t *testing.T) {
	for _, network := range []string{"tcp", "pipe"} {
		t.Run(network, func(t *testing.T) {
			rt := newRuntime(t)
			keeper := &vault{}
			conn := dialed(t, rt, network, keeper)
			var sizes []int
			for _, size := range []int{
				1, 4 << 10, 60 << 10, 64<<10 - 60, 64 << 10, 70_000, 131_072, 256 << 10, 300_000, 512 << 10, 640 << 10,
			} {
				sizes = append(sizes, size, size, size)
			}
			answers := make([]*actor.Deferred, len(sizes))
			var all sync.WaitGroup
			for i, size := range sizes {
				require.NoError(t, conn.WaitSent(t.Context()))
				answers[i] = conn.Root().CallRemote("keep", pattern(i, size))
				all.Go(func() {
					_, err := flavors.Call[int](t.Context(), conn.Root(), "count")
					assert.NoError(t, err)
				})
			}
			all.Wait()
			for i, size := range sizes {
				v, err := answers[i].Await(t.Context())
				require.NoError(t, err)
				assert.True(t, bytes.Equal(pattern(i, size), v.([]byte)), "answer %d", i)
			}
			_, err := keeper.Do(func() {
				for i, size := range sizes {
					assert.True(t, bytes.Equal(pattern(i, size), keeper.kept[i]), "argument %d", i)
					assert.LessOrEqual(t, cap(keeper.kept[i])-size, max(64, size/8), "memory that it keeps alive besides")
				}
			}).Await(t.Context())
			require.NoError(t, err)
		})
	}
}

// dialed returns a connection to root.
func dialed(t *testing.T, rt *actor.Runtime, network string, root any) *broker.Conn {
	t.Helper()
	limits := broker.WithLimits(broker.Limits{WriteHighWater: 64 << 20, MaxWriteBacklog: 64 << 20, BytesIn: 64 << 20})
	if network == "tcp" {
		ln, err := broker.Listen(rt, "pb://127.0.0.1:0", root, limits)
		require.NoError(t, err)
		conn, err := broker.Dial(t.Context(), rt, ln.URL(), limits)
		require.NoError(t, err)
		return conn
	}
	pipe := broker.NewPipeListener()
	_, err := broker.ListenOn(rt, pipe, root, limits)
	require.NoError(t, err)
	var sock net.Conn
	sock, err = pipe.Dial(t.Context())
	require.NoError(t, err)
	conn, err := broker.NewClientConn(t.Context(), rt, sock, limits)
	require.NoError(t, err)
	return conn
}
