package broker

import (
	"context"
	"fmt"
	"net"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker/internal/netio"
	"github.com/perspectivebroker/pb/flavors"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// newConn prepares a connection whose broker is yet to be spawned.
func newConn(rt *actor.Runtime, sock net.Conn, client bool, name string, o *options) *connection {
	ctx, cancel := context.WithCancelCause(context.Background())
	c := &connection{
		rt: rt, sock: sock, nonblock: netio.NonBlockingOf(sock), client: client,
		limits: o.limits, options: o.settings, published: o.published,
		ctx: ctx, cancel: cancel, mailbox: actor.NewMailbox(),
		making: newTurnstile(), ready: make(chan struct{}), gone: make(chan struct{}),
	}
	c.conn.c = c
	c.account = newAccount(budgetOf(rt), &c.limits, c.abort)
	c.out, c.in = &outbox{account: c.account}, newMeter(c.account)
	c.arrivals.Store(flavors.NewArrivals(nil))
	c.out.clearAt = c.pauseWater
	c.peer = peerName(sock)
	c.log = rt.Logger().With().Str("peer", c.peer).Logger()
	c.root = flavors.NewNamedReference(c, name)
	c.caller = flavors.NewCaller(c)
	return c
}

// peerName is how the log names the other side. Clients of a Unix socket have no address of their own.
func peerName(sock net.Conn) string {
	network, address := addressOf(sock.RemoteAddr)
	switch {
	case network == "":
		return "unknown"
	case address != "" && address != "@":
		return address
	}
	_, here := addressOf(sock.LocalAddr)
	return fmt.Sprintf("%s client of %s", network, here)
}

// props are those of the connection's broker. Protocol state dies with its socket, so a broker is stopped and never
// restarted; its codec actors are its own.
func (c *connection) props() *protoactor.Props {
	return c.rt.Props(
		func() protoactor.Actor { return &broker{c: c} },
		protoactor.WithSupervisor(codecStrategy(c.rt)),
		protoactor.WithMailbox(func() protoactor.Mailbox { return c.mailbox }),
	)
}
