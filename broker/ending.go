package broker

import (
	"context"
	"os"
	"strings"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker/internal/netio"
	"github.com/perspectivebroker/pb/internal/figures"
	"github.com/perspectivebroker/pb/internal/seam"
	"github.com/perspectivebroker/pb/internal/usercode"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// open follows the negotiation. It sends the messages that have waited for it.
func (b *broker) open() {
	if b.c.now() != stateNegotiating {
		return
	}
	b.deadline.Stop()
	b.deadline = nil // An idle connection keeps no timer.
	if b.c.client {
		b.append(b.c.appendChoice)
	}
	b.append(b.c.appendVersion)
	usercode.Log(func() { b.c.log.Debug().Stringer("profile", b.c.profile).Msg("connection open") })
	b.listen()
	b.c.advance(stateOpen)
	waiting := b.waiting
	b.waiting = nil
	for _, m := range waiting {
		b.outgoing(m)
	}
}

// drained closes a draining connection in good order once the peer's calls have been answered.
func (b *broker) drained(ctx protoactor.Context) {
	if b.c.now() == stateDraining && b.c.inbound.Load() == 0 && !b.waitsForMove() {
		b.close(ctx, closeNow{cause: ErrClosed, flush: true})
	}
}

// close ends the connection, in good order if m asks for it and the connection is open.
func (b *broker) close(ctx protoactor.Context, m closeNow) {
	switch {
	case m.flush && b.c.now() == stateFlushing:
	case !m.flush || !b.c.sends():
		b.end(ctx, m.cause)
	case len(b.held) > 0:
		b.closing = &m // Messages that wait for a Cacheable's state are sent first.
	default:
		b.c.advance(stateFlushing)
		b.ending = m.cause
		b.deadline = b.afterWaiting(b.c.limits.Stall, closeNow{cause: m.cause})
		ctx.Send(b.c.encoder, flushAndReport{})
	}
}

// socketEnded ends the connection when reading or writing has ended. If the peer has closed it in good order, calls
// that it sent before may still begin for lastCallTime: peers hang up right after their last calls.
func (b *broker) socketEnded(ctx protoactor.Context, cause error) {
	switch {
	case b.hungUp: // Both the reader and the writer report the end.
	case !b.c.sends(), cause == ErrClosed, usercode.Is(cause, os.ErrDeadlineExceeded), isProtocolError(cause),
		len(b.backlog) == 0 && !b.instantiating && !b.c.isCalled():
		b.end(ctx, cause)
	default:
		b.hungUp = true
		b.deadline = b.afterWaiting(lastCallTime, closeNow{cause: cause})
	}
}

func isProtocolError(err error) bool {
	var protocol *ProtocolError
	return usercode.AsInto(err, &protocol)
}

// end ends the connection and stops its actors.
func (b *broker) end(ctx protoactor.Context, cause error) {
	if b.c.ended() {
		return
	}
	if b.c.now() == stateFlushing && cause == ErrPeerClosed {
		cause = b.ending
	}
	b.finish(cause)
	ctx.Stop(ctx.Self())
}

// finish releases everything that depends on the connection. It has an effect once.
func (b *broker) finish(cause error) {
	c := b.c
	if c.ended() {
		return
	}
	if !b.lingers || !c.advance(stateLingering) {
		c.advance(stateClosed)
	}
	c.cancel(cause)
	cause = context.Cause(c.ctx) // The first cause counts.
	logEnd(c, cause)
	c.countRejection(rejectionOf(cause)) // Count first: what is released lets others read the statistics.
	c.out.Close()
	c.endCalls()
	c.endLogins()
	c.account.Close()
	if b.lingers {
		c.linger.Start(c.sock)
		if !c.linger.Active() {
			c.lingered() // The reader had ended before.
		}
	} else {
		netio.Close(c.sock)
	}
	b.deadline.Stop()
	b.move.Stop()
	stopTimer(b.grace)
	stopTimer(b.alive)
	b.silence.Stop()
	c.calls.TakeAll(seam.Call.Lose)
	lost := c.lost(cause)
	b.pending.Clear(func(call *seam.OutgoingCall) { b.complete(call, figures.Now(), nil, lost) })
	if b.instantiating && b.at.answers {
		b.complete(b.at.call, figures.Now(), nil, lost) // The command itself is the instantiator's at this moment.
	}
	// A connection that is still referenced must not keep alive what was received over it.
	b.instantiating, b.at, b.backlog = false, delivery{}, nil
	b.dropPromises(lost)
	b.dropKept()
	b.failWaiting(lost)
	b.clearTables()
	c.forgetAvatars()
	c.arrivals.Load().Close()
	registryOf(c.rt).remove(c)
}

// logEnd logs why the connection ended.
func logEnd(c *connection, cause error) {
	line := c.log.Info()
	var protocol *ProtocolError
	switch {
	case usercode.AsInto(cause, &protocol) && protocol.Rejection == rejectStrangers && !budgetOf(c.rt).ShouldLog():
		line = c.log.Debug()
	case usercode.AsInto(cause, &protocol):
		line = c.log.Warn()
	case usercode.Is(cause, ErrClosed), usercode.Is(cause, ErrPeerClosed):
		line = c.log.Debug()
	}
	usercode.Log(func() {
		line.Str("reason", strings.TrimPrefix(usercode.ErrorText(cause), "broker: ")).Msg("connection closed")
	})
}

// drain ends the connection in good order, after the calls of the peer that are in progress were answered. A connection
// that has not negotiated ends at once.
func (c *connection) drain() {
	if c.wasOpened() {
		c.post(drain{})
	} else {
		c.sever(ErrClosed)
	}
}

// superviseClose registers the connection with the runtime's close: first the peer's calls in progress are answered and
// the outbox is written, later the socket is closed in any case.
func (c *connection) superviseClose() {
	cancelDrain := c.rt.OnClose(actor.PhaseDrain, "connection with "+c.peer, func(ctx context.Context) error {
		c.drain()
		select {
		case <-c.stopped:
		case <-ctx.Done():
		}
		return nil
	})
	cancelDisconnect := c.rt.OnClose(actor.PhaseDisconnect, "connection with "+c.peer, func(context.Context) error {
		c.sever(ErrClosed)
		return nil
	})
	context.AfterFunc(c.ctx, func() {
		cancelDrain()
		cancelDisconnect()
	})
}

// forgetAvatars drops the avatars when the connection has ended. A handle kept by its own connection would keep both
// alive.
func (c *connection) forgetAvatars() {
	c.avatars.Lock()
	defer c.avatars.Unlock()
	c.avatars.kept = nil
}
