package broker

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker/internal/netio"
	"github.com/perspectivebroker/pb/internal/usercode"
	"github.com/perspectivebroker/pb/supervision"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// Dial connects to a URL: pb://host:port[/name], pbs://host:port[/name] or pb+unix:///path[?name=name]. It returns when
// the negotiation has succeeded. [Conn.Root] refers to the object that the peer publishes under the URL's name, "root"
// by default. If ctx ends, Dial fails; a connection that it has returned is not affected.
//
// A URL may have several addresses, pb://a:1,b:2,c:3/name, also with pbs. Dial tries them in this order, each for
// Limits.Handshake at most, and returns the first connection.
func Dial(ctx context.Context, rt *actor.Runtime, url string, opts ...DialOption) (*Conn, error) {
	if err := mayDial(ctx, rt); err != nil {
		return nil, fmt.Errorf("broker: connecting to %s: %w", url, err)
	}
	e, o, err := dialOptions(url, opts, DialOption.applyDial)
	if err != nil {
		return nil, err
	}
	conn, _, err := dialAny(ctx, rt, url, e, 0, o)
	return conn, err
}

// dialAny dials the addresses of e in turn, beginning with one of them, and returns which one it was.
func dialAny(
	ctx context.Context,
	rt *actor.Runtime,
	url string,
	e endpoint,
	first int,
	o *options,
) (*Conn, int, error) {
	if len(e.more) == 0 {
		conn, err := dial(ctx, rt, url, e, o)
		return conn, 0, err
	}
	var failed []error
	for i := range 1 + len(e.more) {
		one := e.at(first + i)
		conn, err := dialWithin(ctx, rt, one.identity(), one, o)
		if err == nil {
			return conn, first + i, nil
		}
		failed = append(failed, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, first, errors.Join(failed...)
}

// dialWithin dials one of several addresses, and gives up early so that the next gets its turn.
func dialWithin(ctx context.Context, rt *actor.Runtime, url string, e endpoint, o *options) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, o.limits.Handshake)
	defer cancel()
	return dial(ctx, rt, url, e, o)
}

// dialOptions returns what a URL and the options for it say.
func dialOptions[O any](url string, opts []O, apply func(O, *options) error) (endpoint, *options, error) {
	o, err := newOptions(opts, apply)
	if err != nil {
		return endpoint{}, nil, err
	}
	e, err := parseURL(url, o.transports)
	if err == nil && o.dial == nil { // A dialer of the application's may know what to do.
		err = e.checkDial()
	}
	if err != nil {
		return e, nil, err
	}
	if t, ok := o.transports[e.scheme]; ok {
		if o.dial != nil {
			return e, nil, fmt.Errorf("broker: WithDialer is for pb, pbs and pb+unix: a transport dials %s:// URLs", e.scheme)
		}
		o.dial = t.dialer(o)
	}
	if o.identity == "" {
		o.identity = e.identity()
	}
	if o.dial == nil {
		o.dial = new(net.Dialer).DialContext
	}
	return e, o, o.checkTLS(e)
}

func dial(ctx context.Context, rt *actor.Runtime, url string, e endpoint, o *options) (*Conn, error) {
	var sock net.Conn
	err := calling(
		o.dialerName(e),
		func() (err error) { sock, err = o.dial(ctx, e.network, e.address); return err },
	)
	if err == nil && sock == nil {
		err = fmt.Errorf("%s returned no connection", o.dialerName(e))
	}
	if err != nil {
		return nil, usercode.Wrap(err, "broker: connecting to %s", url)
	}
	c, err := dialOver(ctx, rt, sock, e, o)
	if err != nil {
		return nil, usercode.Wrap(err, "broker: connecting to %s", url)
	}
	return c, nil
}

// dialerName names the function that connects, for errors.
func (o *options) dialerName(e endpoint) string {
	if _, ok := o.transports[e.scheme]; ok {
		return "the Dial function of a transport"
	}
	return "the function given to WithDialer"
}

// NewClientConn is [Dial] over sock, which is already connected to a PB server. Closing the connection closes sock.
// With [WithTLS] the connection uses TLS over sock; the configuration must then name the server.
func NewClientConn(ctx context.Context, rt *actor.Runtime, sock net.Conn, opts ...DialOption) (*Conn, error) {
	if isNil(sock) {
		return nil, errors.New("broker: NewClientConn was given no connection")
	}
	if err := mayDial(ctx, rt); err != nil {
		return nil, fmt.Errorf("broker: connecting over a socket: %w", err)
	}
	o, err := newOptions(opts, DialOption.applyDial)
	switch {
	case err != nil:
	case o.dial != nil:
		err = errors.New("broker: WithDialer is for Dial and Reconnect: NewClientConn has a connected socket already")
	case o.tls != nil && o.tls.ServerName == "" && !o.tls.InsecureSkipVerify:
		err = errors.New("broker: NewClientConn with WithTLS: set ServerName in the configuration, no URL names the server")
	}
	if err != nil {
		netio.Close(sock)
		return nil, err
	}
	e := endpoint{scheme: "pb", name: rootName}
	if o.tls != nil {
		e.scheme = "pbs"
	}
	return dialOver(ctx, rt, sock, e, o)
}

// mayDial returns the reason why no connection can be made.
func mayDial(ctx context.Context, rt *actor.Runtime) error {
	if ctx == nil {
		return actor.ErrNilContext
	}
	return usable(rt)
}

func dialOver(ctx context.Context, rt *actor.Runtime, sock net.Conn, e endpoint, o *options) (*Conn, error) {
	if e.scheme == "pbs" {
		secure, err := dialTLS(ctx, sock, e.address, o)
		if err != nil {
			netio.Close(sock)
			return nil, err
		}
		sock = secure
	}
	c := newConn(rt, sock, true, e.name, o)
	c.superviseClose()
	props := rt.Props(
		func() protoactor.Actor { return &dialer{c: c} },
		protoactor.WithSupervisor(supervision.StopStrategy(rt)),
	)
	if _, err := supervision.TreeOf(rt).Spawn(supervision.Dialers, props, "dialer"); err != nil {
		netio.Close(sock)
		c.cancel(ErrClosed)
		return nil, err
	}
	select {
	case <-c.opened:
		if ctx.Err() == nil {
			return &c.conn, nil
		}
		c.abort(context.Cause(ctx)) // It opened after ctx had ended.
	case <-c.ctx.Done():
	case <-ctx.Done():
		c.sever(context.Cause(ctx))
	}
	<-c.stopped
	return nil, context.Cause(c.ctx)
}

// dialer is the parent of the broker of a dialed connection, and stops with it.
type dialer struct{ c *connection }

// Receive implements protoactor.Actor.
func (d *dialer) Receive(ctx protoactor.Context) {
	switch ctx.Message().(type) {
	case *protoactor.Started:
		ctx.SpawnPrefix(d.c.props(), "broker")
	case *protoactor.Terminated:
		ctx.Stop(ctx.Self())
	}
}
