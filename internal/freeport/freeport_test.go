package freeport_test

import (
	"net"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/internal/freeport"
)

// TestAddress: ports differ as long as tests hold them, and can be used again and again.
func TestAddress(t *testing.T) {
	known := map[string]bool{}
	for range 200 {
		address := freeport.Address(t)
		require.False(t, known[address])
		known[address] = true
		for range 2 {
			l, err := net.Listen("tcp", address)
			require.NoError(t, err)
			require.NoError(t, l.Close())
		}
	}
}

// TestGivenBack: a port is free for other tests when its test has ended.
func TestGivenBack(t *testing.T) {
	var port int
	t.Run("", func(t *testing.T) { port = freeport.Port(t) })
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	held, err := net.ListenPacket("udp", address)
	require.NoError(t, err)
	require.NoError(t, held.Close())
}
