package broker

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/rs/zerolog"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// Conn is a connection to a peer. [Dial], [NewClientConn], [Reconnect] and listeners make it. Its methods may be called
// from any goroutine. A nil or zero Conn has ended.
type Conn struct{ c *connection }

// errNoConn is the error of all methods of a nil or zero Conn.
var errNoConn = flavors.DeadReference.New("the connection is nil, or was not made by Dial, NewClientConn or a listener")

func (c *Conn) isMade() bool { return c != nil && c.c != nil }

// connKey is the key of the connection in its context.
type connKey struct{}

// ConnOf returns the connection to which a context belongs, or nil. These contexts belong to a connection: those of a
// method that the peer has called, of a checker and a realm during a login, of a session function of [Reconnect], and
// [Conn.Context]. A realm thus learns the peer's address ([Conn.RemoteAddr]) and certificates ([Conn.TLS]).
func ConnOf(ctx context.Context) *Conn {
	if ctx == nil {
		return nil
	}
	c, _ := ctx.Value(connKey{}).(*Conn)
	return c
}

// Root returns a reference to the object that the peer publishes under the name in the URL, "root" if the URL has none.
// Root does not ask the peer: calls to an object that the peer does not publish fail with the peer's error.
func (c *Conn) Root() *flavors.RemoteReference {
	if !c.isMade() {
		return nil
	}
	return c.c.rootReference()
}

// Published returns a reference to the object that the peer publishes under a name. It does not ask the peer.
func (c *Conn) Published(name string) *flavors.RemoteReference {
	if !c.isMade() {
		return nil
	}
	return internal.NewNamedReference(c.c, name)
}

// Runtime returns the runtime whose actors serve the connection.
func (c *Conn) Runtime() *actor.Runtime {
	if !c.isMade() {
		return nil
	}
	return c.c.rt
}

// Context returns a context that ends with the connection. context.Cause gives the reason: [ErrClosed],
// [ErrPeerClosed], a *[ProtocolError], or a network error.
func (c *Conn) Context() context.Context {
	if !c.isMade() {
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(errNoConn)
		return ctx
	}
	return c.c.ctx
}

// Done returns a channel that is closed when the connection has ended and its broker has stopped.
func (c *Conn) Done() <-chan struct{} {
	if !c.isMade() {
		return c.Context().Done()
	}
	return c.c.stopped
}

// GoingAway returns a channel that is closed when the server has said that it is about to close the connection, as it
// does under dialect pb+1. Calls under way are answered; new ones should go elsewhere. A [ReconnectingClient] does that
// by itself. The channel may stay open when the connection ends.
func (c *Conn) GoingAway() <-chan struct{} {
	if !c.isMade() {
		return nil
	}
	return c.c.goaway
}

// String names the connection in logs.
func (c *Conn) String() string {
	if !c.isMade() {
		return "<connection, nil>"
	}
	return c.c.String()
}

// Format implements [fmt.Formatter] by String.
func (c *Conn) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// ServerIdentity names the server that the peer is: the URL that was dialed without the object's name, unless
// [WithServerIdentity] says otherwise. It is empty on accepted connections, and on those made by [NewClientConn]
// without that option. Copies of published originals are stored under it.
func (c *Conn) ServerIdentity() string {
	if !c.isMade() {
		return ""
	}
	return c.c.ServerIdentity()
}

// Logger returns a logger that names the peer in every line.
func (c *Conn) Logger() *zerolog.Logger {
	if !c.isMade() {
		nowhere := zerolog.Nop()
		return &nowhere
	}
	return &c.c.log
}

// PID returns the broker actor. An actor that watches it learns of the connection's end.
func (c *Conn) PID() *protoactor.PID {
	if !c.isMade() {
		return nil
	}
	return c.c.pid
}

// LocalAddr returns this side's address.
func (c *Conn) LocalAddr() net.Addr {
	if !c.isMade() {
		return nil
	}
	return c.c.sock.LocalAddr()
}

// RemoteAddr returns the peer's address.
func (c *Conn) RemoteAddr() net.Addr {
	if !c.isMade() {
		return nil
	}
	return c.c.sock.RemoteAddr()
}

// TLS returns the state of the TLS session, with the peer's certificates; nil without TLS.
func (c *Conn) TLS() *tls.ConnectionState {
	if !c.isMade() {
		return nil
	}
	return c.c.tlsState()
}

// Profile returns the dialect of Banana that both sides agreed on.
func (c *Conn) Profile() (p banana.Profile) {
	if c.isMade() {
		p = c.c.profile
	}
	return p
}

// Dialect returns the name of the dialect that both sides agreed on: "pb+1", "pb" or "none". It is empty before they
// have, as in a [RootFactory]. Deadlines, cancelling and metadata of calls reach the peer under "pb+1" only.
func (c *Conn) Dialect() string {
	if !c.isMade() || !c.c.wasOpened() {
		return ""
	}
	return c.c.profile.String()
}

// Exports returns the number of our objects that the peer holds references to. Published objects do not count.
func (c *Conn) Exports() int {
	if !c.isMade() {
		return 0
	}
	return int(c.c.exported.Load())
}

// Stats reports what the connection has done and has under way. After the connection's end it reports the last values.
func (c *Conn) Stats() Stats {
	if !c.isMade() {
		return Stats{}
	}
	if final := c.c.metrics.final.Load(); final != nil {
		s := *final
		s.Refusals = maps.Clone(final.Refusals)
		return s
	}
	return c.c.snapshot()
}

// WaitWritable waits while more than Limits.WriteHighWater bytes wait to be written. It returns nil when the connection
// has ended: the next call reports that.
func (c *Conn) WaitWritable(ctx context.Context) error {
	if !c.isMade() {
		return errNoConn
	}
	return c.c.WaitWritable(ctx)
}

// WaitSent waits until the broker has handled everything that was given to it before, and then like
// [Conn.WaitWritable]. A producer that calls it after each call without an answer sends as fast as the peer reads.
func (c *Conn) WaitSent(ctx context.Context) error {
	if !c.isMade() {
		return errNoConn
	}
	return c.c.WaitSent(ctx)
}

// Settled waits until every call that the peer sent before has been carried out: its method has returned, or it will
// not run, because it was refused or its object has stopped. Settled does not wait for what such a method does later,
// in a Deferred or another goroutine.
//
// An answer completes its call as soon as it is read, while calls that the peer sent before the answer may still wait
// for their objects. A goroutine that needs their effects calls Settled when it has the answer, or uses
// [flavors.CallInOrder]. In the turn of an object, [actor.Deferred.Then] keeps the order by itself.
//
// A method that the peer calls must not use it, because it would wait for itself. The same holds for whatever such a
// method waits for.
func (c *Conn) Settled(ctx context.Context) error {
	if !c.isMade() {
		return errNoConn
	}
	return c.c.Settled(ctx)
}

// Close ends the connection in good order: it writes what was sent before, then closes the socket. Calls that have no
// answer by then fail with ConnectionLost. Close waits until the broker has ended or ctx has; the connection ends in
// either case.
func (c *Conn) Close(ctx context.Context) error {
	switch {
	case !c.isMade():
		return errNoConn
	case ctx == nil:
		return fmt.Errorf("broker: closing a connection: %w", actor.ErrNilContext)
	}
	c.c.post(closeNow{cause: ErrClosed, flush: true})
	select {
	case <-c.c.stopped:
		return nil
	case <-ctx.Done():
		c.c.sever(ErrClosed)
		return context.Cause(ctx)
	}
}

// Abort ends the connection at once. What has not been written yet is lost. The cause is that of [Conn.Context]; nil
// stands for [ErrClosed].
func (c *Conn) Abort(cause error) {
	if c.isMade() {
		c.c.abort(cause)
	}
}
