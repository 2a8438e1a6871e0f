package pbtest

import (
	"context"
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

// Scripted is a scripted peer and its socket.
type Scripted struct {
	*wire.Peer
	Sock net.Conn
}

// Drain reads until the end of the connection. A pipe has no buffer, so the other end blocks in a write until somebody
// reads.
func (p *Scripted) Drain() { _, _ = io.Copy(io.Discard, p.Sock) }

// DialScripted connects a client in rt to a scripted server over a pipe. host plays the server's part of the
// negotiation.
func DialScripted(
	t testing.TB,
	rt *actor.Runtime,
	host func(*wire.Peer),
	opts ...broker.DialOption,
) (*broker.Conn, *Scripted, error) {
	t.Helper()
	here, there := net.Pipe()
	p := &Scripted{wire.New(t, there), there}
	var conn *broker.Conn
	var err error
	dialed := make(chan struct{})
	go func() {
		defer close(dialed)
		conn, err = broker.NewClientConn(context.Background(), rt, here, opts...)
	}()
	host(p.Peer)
	<-dialed
	return conn, p, err
}

// Client returns a connection to a scripted server that has selected the profile pb.
func Client(t testing.TB, opts ...broker.DialOption) (*broker.Conn, *Scripted) {
	t.Helper()
	conn, p, err := DialScripted(t, NewRuntime(t), (*wire.Peer).Host, opts...)
	require.NoError(t, err)
	return conn, p
}

// Receive makes the peer send a reference to its object luid.
func Receive(t testing.TB, conn *broker.Conn, p *Scripted, luid int) *flavors.RemoteReference {
	t.Helper()
	p.Forget("id")
	d := conn.Root().CallRemote("get")
	p.Want(`[message $id root get 1 [tuple] [dictionary]]`)
	p.Write(fmt.Sprintf(`[answer $id [remote %d]]`, luid))
	v, err := Result(t, d)
	require.NoError(t, err)
	return v.(*flavors.RemoteReference)
}

// WantError requires the next message to be an error answer to request with an exception of type typ. It returns the
// failure as text.
func WantError(t testing.TB, p *wire.Peer, request int, typ string) string {
	t.Helper()
	failure := WantAnyError(p, request)
	require.Contains(t, failure, strconv.Quote(typ))
	return failure
}

// WantAnyError is WantError for an exception of any type.
func WantAnyError(p *wire.Peer, request int) string {
	p.Forget("failure")
	p.Want(fmt.Sprintf(`[error %d ["twisted.spread.pb.CopyableFailure" $failure]]`, request))
	return banana.Format(p.Var("failure"))
}
