package flavors_test

import (
	"context"
	"errors"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/require"
)

// The tests observe flavors through a broker, from the other end of a connection: a scripted peer or this module.

var errPlain = errors.New("fall down go boom")

// Short names for helpers of package pbtest.
var (
	newRuntime   = pbtest.NewRuntime
	client       = pbtest.Client
	receive      = pbtest.Receive
	result       = pbtest.Result
	wantError    = pbtest.WantError
	wantAnyError = pbtest.WantAnyError
)

type scripted = pbtest.Scripted

// stockFailure is the error answer of a stock peer.
const stockFailure = `["twisted.spread.pb.CopyableFailure" [dictionary
	[[unicode type] "pond.Empty"] [[unicode value] [unicode "no ducks"]]
	[[unicode traceback] [unicode "Traceback: unavailable"]]
	[[unicode parents] [list [unicode "pond.Empty"] [unicode "twisted.spread.pb.Error"] [unicode "builtins.Exception"]]]]]`

// server serves a root on a loopback port.
type server struct {
	t  *testing.T
	rt *actor.Runtime
	ln *broker.Listener
}

func newServer(t *testing.T, root any, opts ...broker.ListenOption) *server {
	t.Helper()
	rt := newRuntime(t)
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

func errorOf(d *actor.Deferred) error {
	_, err := d.Await(context.Background())
	return err
}
