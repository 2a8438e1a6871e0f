package broker_test

import (
	"fmt"
	"net"
	"strconv"
	"sync"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/require"
)

// wantError wants an error answer to a request, of this exception type, and returns the failure as text.
func wantError(t *testing.T, p *wire.Peer, request int, typ string) string {
	t.Helper()
	failure := wantAnyError(p, request)
	require.Contains(t, failure, strconv.Quote(typ))
	return failure
}

func wantAnyError(p *wire.Peer, request int) string {
	p.Forget("failure")
	p.Want(fmt.Sprintf(`[error %d ["twisted.spread.pb.CopyableFailure" $failure]]`, request))
	return banana.Format(p.Var("failure"))
}

// pipeListener accepts the ends of pipes.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

// server is a listener under test with scripted peers.
type server struct {
	t    *testing.T
	rt   *actor.Runtime
	pipe *pipeListener
	ln   *broker.Listener
}

func newServer(t *testing.T, root any, opts ...broker.Option) *server {
	t.Helper()
	s := &server{t: t, rt: newRuntime(t), pipe: newPipeListener()}
	ln, err := broker.Serve(s.rt, s.pipe, root, opts...)
	require.NoError(t, err)
	s.ln = ln
	return s
}

// dial gives our end of a pipe.
func (s *server) dial() net.Conn {
	ours, theirs := net.Pipe()
	s.pipe.conns <- theirs
	return ours
}

// connect gives a connection on which nothing has been said yet.
func (s *server) connect() *wire.Peer {
	s.t.Helper()
	return wire.New(s.t, s.dial())
}

// peer gives a connection on which the negotiation is through.
func (s *server) peer() *wire.Peer {
	s.t.Helper()
	p := s.connect()
	join(p, banana.ProfilePB)
	return p
}

// join is the opening with a choice of profile. A pipe has no buffer, so nobody may write while the other side does.
func join(p *wire.Peer, profile banana.Profile) {
	p.Want(`[pb none]`)
	p.Write(profile.String())
	p.Speak(profile)
	p.Want(`[version 6]`)
	p.Write(`[version 6]`)
}
