package broker_test

import (
	"net"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/require"
)

// Short names for the helpers of package pbtest.
var (
	newRuntime      = pbtest.NewRuntime
	errorOf         = pbtest.ErrorOf
	newPipeListener = pbtest.NewPipeListener
	dialScripted    = pbtest.DialScripted
	client          = pbtest.Client
	receive         = pbtest.Receive
	result          = pbtest.Result
	wantError       = pbtest.WantError
	wantAnyError    = pbtest.WantAnyError
)

type (
	pipeListener = pbtest.PipeListener
	scripted     = pbtest.Scripted
)

// server is a listener under test with scripted peers.
type server struct {
	t    *testing.T
	rt   *actor.Runtime
	pipe *pipeListener
	ln   *broker.Listener
}

func newServer(t *testing.T, root any, opts ...broker.ListenOption) *server {
	t.Helper()
	return serveOn(t, newRuntime(t), root, opts...)
}

// serveOn is newServer in a Runtime of the caller's.
func serveOn(t *testing.T, rt *actor.Runtime, root any, opts ...broker.ListenOption) *server {
	t.Helper()
	s := &server{t: t, rt: rt, pipe: newPipeListener()}
	var err error
	s.ln, err = broker.ListenOn(rt, s.pipe, root, opts...)
	require.NoError(t, err)
	return s
}

// dial returns the peer's end of a pipe to the server.
func (s *server) dial() net.Conn { return s.pipe.Dial() }

// connect returns a scripted client that has sent and read nothing yet.
func (s *server) connect() *wire.Peer {
	s.t.Helper()
	return wire.New(s.t, s.dial())
}

// peer returns a scripted client that has negotiated.
func (s *server) peer() *wire.Peer {
	s.t.Helper()
	p := s.connect()
	p.Join()
	return p
}
