package published_test

import (
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server serves a root on a loopback port.
type server struct {
	t  *testing.T
	rt *actor.Runtime
	ln *broker.Listener
}

func newServer(t *testing.T, root any, opts ...broker.ListenOption) *server {
	t.Helper()
	rt := pbtest.NewRuntime(t)
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", root, opts...)
	require.NoError(t, err)
	return &server{t: t, rt: rt, ln: ln}
}

// peer returns a scripted client after its handshake.
func (s *server) peer() *wire.Peer {
	s.t.Helper()
	p := wire.Connect(s.t, s.ln.Addr().String())
	p.Join()
	return p
}

// customer returns a connection of this module to the server.
func (s *server) customer(opts ...broker.DialOption) *broker.Conn {
	s.t.Helper()
	conn, err := broker.Dial(s.t.Context(), s.rt, s.ln.URL(), opts...)
	require.NoError(s.t, err)
	return conn
}
