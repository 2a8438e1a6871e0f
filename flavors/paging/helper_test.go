package paging_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/flavors"
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

// client connects to a scripted server that speaks the profile pb.
func client(t *testing.T, opts ...broker.Option) (*broker.Conn, *wire.Peer) {
	t.Helper()
	here, there := net.Pipe()
	p := wire.New(t, there)
	rt := newRuntime(t)
	var conn *broker.Conn
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
	return conn, p
}

// receive has the peer send a reference to its object luid.
func receive(t *testing.T, conn *broker.Conn, p *wire.Peer, luid int) *flavors.RemoteReference {
	t.Helper()
	p.Forget("id")
	d := conn.Root().CallRemote("get")
	p.Want(`[message $id root get 1 [tuple] [dictionary]]`)
	p.Write(fmt.Sprintf(`[answer $id [remote %d]]`, luid))
	v, err := result(t, d)
	require.NoError(t, err)
	return v.(*flavors.RemoteReference)
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

func errorOf(d *actor.Deferred) error {
	_, err := d.Await(context.Background())
	return err
}

// visit connects to a root in the same program, for the examples.
func visit(root any) (conn *broker.Conn, leave func()) {
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
