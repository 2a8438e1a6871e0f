package flavors_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/require"
)

// What the flavors do is seen through the broker that they are made for, from its other end: by a scripted peer, or by
// a program of ours.

var errPlain = errors.New("fall down go boom")

// stockFailure is an error as a stock peer answers it.
const stockFailure = `["twisted.spread.pb.CopyableFailure" [dictionary
	[[unicode type] "pond.Empty"] [[unicode value] [unicode "no ducks"]] [[unicode traceback] [unicode "Traceback: unavailable"]]
	[[unicode parents] [list [unicode "pond.Empty"] [unicode "twisted.spread.pb.Error"] [unicode "builtins.Exception"]]]]]`

// server publishes a root on a port of the loopback.
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

// peer is a scripted client, through with the opening.
func (s *server) peer() *wire.Peer {
	s.t.Helper()
	p := wire.Connect(s.t, s.ln.Addr().String())
	p.Join()
	return p
}

// customer connects to the server as a program of ours.
func (s *server) customer(opts ...broker.Option) *broker.Conn {
	s.t.Helper()
	conn, err := broker.Dial(s.t.Context(), s.rt, s.ln.URL(), opts...)
	require.NoError(s.t, err)
	return conn
}

// scripted is a scripted server, and the socket below it.
type scripted struct {
	*wire.Peer
	sock net.Conn
}

// drain reads on until the end: a pipe has no buffer, so who writes waits for a reader.
func (p *scripted) drain() { _, _ = io.Copy(io.Discard, p.sock) }

// client is a connection of ours with a scripted server that speaks the profile pb.
func client(t *testing.T, opts ...broker.Option) (*broker.Conn, *scripted) {
	t.Helper()
	here, there := net.Pipe()
	p := &scripted{wire.New(t, there), there}
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
func receive(t *testing.T, conn *broker.Conn, p *scripted, luid int) *flavors.RemoteReference {
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
