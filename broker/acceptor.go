package broker

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"syscall"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker/internal/netio"
	"github.com/perspectivebroker/pb/internal/usercode"
	"github.com/perspectivebroker/pb/supervision"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// acceptor is the actor of a listener: the parent of the brokers of the connections that it accepted.
type acceptor struct {
	l     *Listener
	ended bool // the socket is closed; the actor stays for as long as it has brokers
	count int
}

// Messages to the acceptor.
type (
	accepted    struct{ sock net.Conn }
	acceptEnded struct{}
)

// Receive implements protoactor.Actor.
func (a *acceptor) Receive(ctx protoactor.Context) {
	switch m := ctx.Message().(type) {
	case *protoactor.Started:
		a.l.rt.Go("accepting at "+a.l.URL(), a.l.accept)
	case accepted:
		a.adopt(ctx, m.sock)
	case acceptEnded:
		a.ended = true
		a.endWithLast(ctx)
	case *protoactor.Terminated:
		a.count--
		a.endWithLast(ctx)
	case *protoactor.Stopping:
		netio.Close(a.l.sock)
	}
}

// Undelivered implements actor.Undertaker: a connection that came when the listener had ended.
func (a *acceptor) Undelivered(message any) {
	if m, ok := message.(accepted); ok {
		netio.Close(m.sock)
	}
}

func (a *acceptor) endWithLast(ctx protoactor.Context) {
	if a.ended && a.count == 0 {
		ctx.Stop(ctx.Self())
	}
}

// adopt gives a connection its broker.
func (a *acceptor) adopt(ctx protoactor.Context, sock net.Conn) {
	l := a.l
	c := newConn(l.rt, sock, false, rootName, l.options)
	l.add(c)
	a.count++
	c.superviseClose()
	ctx.SpawnPrefix(c.props(), "broker")
}

// add notes a connection until it ends.
func (l *Listener) add(c *connection) {
	l.mu.Lock()
	l.conns[c] = struct{}{}
	l.mu.Unlock()
	context.AfterFunc(c.ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.conns, c)
	})
}

// accept runs until the socket is closed. Want of file descriptors and the like passes, so it tries again after a
// while. Strangers must not keep others from connecting: one of them is dropped for each descriptor that is wanting.
func (l *Listener) accept() {
	backoff := supervision.Backoff{Min: 5 * time.Millisecond, Max: time.Second, Factor: 2}
	failures := 0
	for {
		var sock net.Conn
		err := calling("the listener's Accept method", func() (err error) { sock, err = l.sock.Accept(); return err })
		if err == nil && sock == nil {
			err = errors.New("broker: the listener accepted nothing")
		}
		if err == nil {
			failures = 0
			l.mailbox.PostUserMessage(accepted{sock})
			continue
		}
		if usercode.Is(err, net.ErrClosed) || isClosing(l.rt) {
			return
		}
		if usercode.Is(err, syscall.EMFILE) || usercode.Is(err, syscall.ENFILE) {
			budgetOf(
				l.rt,
			).DropOldest("the process has no file descriptors left, and this connection has waited longest for a login")
		}
		failures++
		delay := backoff.Delay(failures, rand.Float64)
		usercode.Log(func() {
			l.log.Error().Err(usercode.LogError(err)).Dur("retry_in", delay).Msg("a connection could not be accepted")
		})
		select {
		case <-time.After(delay):
		case <-l.rt.Closing():
			return
		}
	}
}

func isClosing(rt *actor.Runtime) bool {
	select {
	case <-rt.Closing():
		return true
	default:
		return false
	}
}

// brokerStrategy is the acceptor's: a broker that fails is stopped, which closes its connection.
func brokerStrategy(rt *actor.Runtime) protoactor.SupervisorStrategy {
	return supervision.StopStrategy(rt)
}

// codecStrategy is the broker's: a codec actor that fails is stopped, and takes its broker along.
func codecStrategy(rt *actor.Runtime) protoactor.SupervisorStrategy {
	return supervision.StopStrategy(rt)
}
