package flavors

import (
	"context"
	"crypto/tls"
	"net"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/internal/seam"
	"github.com/rs/zerolog"
)

// Conn is the connection over which a call or a reference came. Package broker's *Conn implements it; where more is
// needed than this interface has, assert that type.
//
// All methods may be called from any goroutine. None waits except the last three.
type Conn interface {
	// Runtime returns the runtime whose actors serve the connection.
	Runtime() *actor.Runtime
	// Context returns a context that ends with the connection. Its cause is the reason.
	Context() context.Context
	// Logger returns a logger that names the peer in every line.
	Logger() *zerolog.Logger
	// LocalAddr returns this side's address.
	LocalAddr() net.Addr
	// RemoteAddr returns the peer's address.
	RemoteAddr() net.Addr
	// TLS returns the state of the TLS session, with the peer's certificates; nil without TLS.
	TLS() *tls.ConnectionState
	// ServerIdentity names the server that the peer is, for what is kept from session to session; empty if that is not
	// known.
	ServerIdentity() string

	// Revoke takes an object of ours back from the peer: later calls of it fail. It does not wait.
	Revoke(obj any) error

	// WaitWritable waits while more bytes wait to be written than the connection's limit allows.
	WaitWritable(ctx context.Context) error
	// WaitSent waits until the connection has handled everything that was given to it before, and then like WaitWritable.
	// A producer that calls it after each call without an answer sends as fast as the peer reads.
	WaitSent(ctx context.Context) error
	// Settled waits until every call that the peer sent before has been carried out: its method has returned, or it will
	// not run. A method that the peer calls must not use it, because it would wait for itself.
	Settled(ctx context.Context) error
}

// publicConn returns what users see of a connection; nil if there is none.
func publicConn(c seam.Conn) Conn {
	if c == nil {
		return nil
	}
	return c.Public().(Conn)
}
