package published_test

import (
	"context"
	"io"
	"net"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newRuntime returns a runtime that is closed when the test ends.
func newRuntime(t *testing.T) *actor.Runtime {
	t.Helper()
	rt, err := actor.NewRuntime(actor.WithLogger(zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.InfoLevel)))
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), wire.Patience)
		defer cancel()
		require.NoError(t, rt.Close(ctx))
	})
	return rt
}

// server serves a root on a loopback port.
type server struct {
	t  *testing.T
	rt *actor.Runtime
	ln *broker.Listener
}

func newServer(t *testing.T, root any, opts ...broker.Option) *server {
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
func (s *server) customer(opts ...broker.Option) *broker.Conn {
	s.t.Helper()
	conn, err := broker.Dial(s.t.Context(), s.rt, s.ln.URL(), opts...)
	require.NoError(s.t, err)
	return conn
}

// client connects to a scripted server that speaks the profile pb. drain reads what comes until the end, because a pipe
// has no buffer.
func client(t *testing.T, opts ...broker.Option) (conn *broker.Conn, p *wire.Peer, drain func()) {
	t.Helper()
	here, there := net.Pipe()
	p = wire.New(t, there)
	rt := newRuntime(t)
	var err error
	dialed := make(chan struct{})
	go func() {
		defer close(dialed)
		conn, err = broker.Client(context.Background(), rt, here, opts...)
	}()
	// Neither side of a pipe may write while the other does, so this is not wire's Host.
	p.Write(`[pb none]`)
	p.Want(`pb`)
	p.Speak(banana.ProfilePB)
	p.Want(`[version 6]`)
	p.Write(`[version 6]`)
	<-dialed
	require.NoError(t, err)
	return conn, p, func() { _, _ = io.Copy(io.Discard, there) }
}

// result waits for a Deferred.
func result(t *testing.T, d *actor.Deferred) (any, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), wire.Patience)
	defer cancel()
	v, err := d.Await(ctx)
	require.NoError(t, ctx.Err(), "the Deferred did not complete")
	return v, err
}
