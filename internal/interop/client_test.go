package interop

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/stock"
)

// dialStock starts a stock server and connects to it.
func dialStock(t *testing.T, opts ...broker.DialOption) (*broker.Conn, *stock.Process) {
	t.Helper()
	server := Server(t)
	conn, err := broker.Dial(t.Context(), newRuntime(t), "pb://"+server.Addr(), opts...)
	require.NoError(t, err)
	return conn, server
}

// call calls a method of the root.
func call[T any](t *testing.T, conn *broker.Conn, method string, args ...any) T {
	t.Helper()
	v, err := flavors.Call[T](t.Context(), conn.Root(), method, args...)
	require.NoError(t, err, method)
	return v
}

func TestConnectionLossFailsCalls(t *testing.T) {
	conn, server := dialStock(t)
	pending := conn.Root().CallRemote("never")
	call[int](t, conn, "add", 1, 2)
	server.Kill()
	_, err := pending.Await(t.Context())
	require.ErrorIs(t, err, flavors.ConnectionLost)
	assert.False(t, flavors.IsRemote(err))
	<-conn.Done()
	_, err = conn.Root().CallRemote("add", 1).Await(t.Context())
	require.ErrorIs(t, err, flavors.DeadReference)
}
