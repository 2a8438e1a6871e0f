package pbtest

import (
	"context"
	"log"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/require"
)

// Server serves a root on a loopback port.
type Server struct {
	Runtime  *actor.Runtime
	Listener *broker.Listener

	t *testing.T
}

// NewServer returns a Server that is closed when the test ends.
func NewServer(t *testing.T, root any, opts ...broker.ListenOption) *Server {
	t.Helper()
	rt := NewRuntime(t)
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", root, opts...)
	require.NoError(t, err)
	return &Server{Runtime: rt, Listener: ln, t: t}
}

// Peer returns a scripted client after its handshake.
func (s *Server) Peer() *wire.Peer {
	s.t.Helper()
	p := wire.Connect(s.t, s.Listener.Addr().String())
	p.Join()
	return p
}

// Dial returns a connection of this module to the server, in the server's Runtime.
func (s *Server) Dial(opts ...broker.DialOption) *broker.Conn {
	s.t.Helper()
	conn, err := broker.Dial(s.t.Context(), s.Runtime, s.Listener.URL(), opts...)
	require.NoError(s.t, err)
	return conn
}

// ErrorOf waits for d and returns its error. It is for the clocks of testing/synctest too.
func ErrorOf(d *actor.Deferred) error {
	_, err := d.Await(context.Background())
	return err
}

// Visit connects to a root in the same program. It is for examples, which have no test that can fail.
func Visit(root any) (conn *broker.Conn, leave func()) {
	rt, err := actor.NewRuntime()
	if err != nil {
		log.Fatal(err)
	}
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", root)
	if err != nil {
		log.Fatal(err)
	}
	conn, err = broker.Dial(context.Background(), rt, ln.URL())
	if err != nil {
		log.Fatal(err)
	}
	return conn, func() { _ = rt.Close(context.Background()) }
}
