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
func Dial(ctx context.Context, rt *actor.Runtime, url string, opts ...Option) (*Conn, error) {
	if err := mayDial(ctx, rt); err != nil {
		return nil, fmt.Errorf("broker: connecting to %s: %w", url, err)
	}
	e, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	o, err := newOptions(opts)
	if err != nil {
		return nil, err
	}
	var sock net.Conn
	err = calling(
		"the function given to WithDialer",
		func() (err error) { sock, err = o.dial(ctx, e.network, e.address); return err },
	)
	if err == nil && sock == nil {
		err = errors.New("the function given to WithDialer returned no connection")
	}
	if err != nil {
		return nil, usercode.Wrap(err, "broker: connecting to %s", url)
	}
	c, err := dialOver(ctx, rt, sock, e, opts)
	if err != nil {
		return nil, usercode.Wrap(err, "broker: connecting to %s", url)
	}
	return c, nil
}

// NewClientConn is [Dial] over sock, which is already connected to a PB server. Closing the connection closes sock.
// With [WithTLS] the connection uses TLS over sock; the configuration must then name the server.
func NewClientConn(ctx context.Context, rt *actor.Runtime, sock net.Conn, opts ...Option) (*Conn, error) {
	if isNil(sock) {
		return nil, errors.New("broker: NewClientConn was given no connection")
	}
	if err := mayDial(ctx, rt); err != nil {
		return nil, fmt.Errorf("broker: speaking to a server: %w", err)
	}
	return dialOver(ctx, rt, sock, endpoint{scheme: "pb", name: rootName}, opts)
}

// mayDial returns the reason why no connection can be made.
func mayDial(ctx context.Context, rt *actor.Runtime) error {
	if ctx == nil {
		return actor.ErrNilContext
	}
	return usable(rt)
}

func dialOver(ctx context.Context, rt *actor.Runtime, sock net.Conn, e endpoint, opts []Option) (*Conn, error) {
	o, err := newOptions(opts)
	switch {
	case err != nil || o.tls == nil && e.scheme != "pbs":
	case e.scheme != "pbs" && e.network != "":
		err = errTLSUnused(e.scheme + ":// URL")
	default:
		var secure net.Conn
		if secure, err = dialTLS(ctx, sock, e.address, o); err == nil {
			sock = secure
		}
	}
	if err != nil {
		netio.Close(sock)
		return nil, err
	}
	if o.identity == "" && e.network != "" {
		o.identity = e.identity()
	}
	c := newConn(rt, sock, true, e.name, o)
	c.superviseClose()
	props := rt.Props(func() protoactor.Actor { return &dialer{c: c} }, protoactor.WithSupervisor(brokerStrategy(rt)))
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
		c.cancel(context.Cause(ctx))
		netio.Close(sock) // The codec actors notice, and stop the broker.
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
