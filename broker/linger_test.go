package broker_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/require"
)

// goodbye gives a long answer, and closes its connection.
type goodbye struct{ flavors.Root }

func (*goodbye) RemoteLong() string { return strings.Repeat("x", farewell) }
func (*goodbye) RemoteNote()        {}

func (*goodbye) RemoteBye(inv *flavors.Invocation) {
	conn := inv.Conn().(*broker.Conn)
	go func() { _ = conn.Close(context.Background()) }()
}

const farewell = 600_000

// TestCloseWhilePeerWrites: the kernel must still deliver what the server has written before it closes. The client's
// window is small, so that most of the answer waits at the server at that time.
func TestCloseWhilePeerWrites(t *testing.T) {
	rt := newRuntime(t)
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", &goodbye{})
	require.NoError(t, err)
	for range 5 {
		sock, err := net.Dial("tcp", ln.Addr().String())
		require.NoError(t, err)
		require.NoError(t, sock.(*net.TCPConn).SetReadBuffer(64<<10))
		p := wire.New(t, sock)
		p.Join()
		var conn *broker.Conn
		require.Eventually(t, func() bool {
			if conns := ln.Conns(); len(conns) == 1 {
				conn = conns[0]
			}
			return conn != nil
		}, patience, tick)
		p.Write(`[message 1 root long 1 [tuple] [dictionary]]`, `[message 2 root bye 0 [tuple] [dictionary]]`)
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() { // The client writes until it has read everything.
			defer close(stopped)
			more := bytes.Repeat(noteOf(3, 0), 100)
			for {
				select {
				case <-stop:
					return
				default:
					if _, err := sock.Write(more); err != nil {
						return
					}
				}
			}
		}()
		<-conn.Done()
		all, err := io.ReadAll(sock)
		close(stop)
		<-stopped
		require.NoError(t, err, "after %d bytes", len(all))
		require.GreaterOrEqual(t, len(all), farewell)
		require.NoError(t, sock.Close())
	}
}
