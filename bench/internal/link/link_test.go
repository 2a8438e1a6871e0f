package link

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// echo is a server that sends back what it receives.
func echo(t *testing.T) net.Listener {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	return ln
}

func TestRelay(t *testing.T) {
	const delay = 5 * time.Millisecond
	ln := echo(t)
	r, err := Listen(ln.Addr().String(), delay)
	require.NoError(t, err)
	defer r.Close()
	conn, err := net.Dial("tcp", r.Addr())
	require.NoError(t, err)
	defer conn.Close()

	started := time.Now()
	_, err = conn.Write([]byte("x"))
	require.NoError(t, err)
	_, err = io.ReadFull(conn, make([]byte, 1))
	require.NoError(t, err)
	assert.GreaterOrEqual(t, time.Since(started), 2*delay)

	sent := bytes.Repeat([]byte("all of it, in order "), 100_000)
	go func() { _, _ = conn.Write(sent) }()
	got := make([]byte, len(sent))
	_, err = io.ReadFull(conn, got)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(sent, got))
}

func TestRelayEndsBothSides(t *testing.T) {
	r, err := Listen("127.0.0.1:0", time.Millisecond) // nobody can be at port 0
	require.NoError(t, err)
	conn, err := net.Dial("tcp", r.Addr())
	require.NoError(t, err)
	_, err = conn.Read(make([]byte, 1))
	require.Error(t, err, "nobody is behind the relay")
	require.NoError(t, r.Close())
}
