package broker

import (
	"context"
	"github.com/perspectivebroker/pb/internal/seam"
	"os"
	"strings"
	"sync/atomic"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker/internal/netio"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/usercode"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// state is a stage in the life of a connection.
type state int32

const (
	// stateNegotiating: the sides agree on a profile. Messages to send wait.
	stateNegotiating state = iota
	// stateOpen: calls and answers go in both directions.
	stateOpen
	// stateDraining: the runtime is closing. Further calls of the peer are rejected; those in progress are answered.
	stateDraining
	// stateFlushing: this side closes in good order. Nothing more is sent but what is in the outbox.
	stateFlushing
	// stateLingering: the connection has ended. The reader discards what the peer still sends, so that the kernel does not
	// drop what is not delivered yet; see [netio.Linger].
	stateLingering
	// stateClosed: the connection has ended, and its socket is closed.
	stateClosed
)

func (s state) String() string {
	return [...]string{"negotiating", "open", "draining", "flushing", "lingering", "closed"}[s]
}

// mayBecome reports whether a connection may go from s to next.
func (s state) mayBecome(next state) bool {
	switch next {
	case stateOpen:
		return s == stateNegotiating
	case stateDraining:
		return s == stateOpen
	case stateFlushing:
		return s == stateOpen || s == stateDraining
	case stateLingering:
		return s == stateFlushing
	case stateClosed:
		return s != stateClosed
	}
	return false
}

// lifecycle is the state of a connection:
//
//	negotiating → open → draining → flushing → lingering → closed
//
// A connection may skip draining and lingering, and goes to closed from every state. It never goes back. The broker's
// turn changes the state; only the reader's goroutine goes from lingering to closed. Any goroutine may read it.
type lifecycle struct {
	state   atomic.Int32
	ctx     context.Context // canceled with the cause when the connection ends
	cancel  context.CancelCauseFunc
	opened  chan struct{} // closed when the negotiation has succeeded
	stopped chan struct{} // closed when the broker actor has stopped
}

func (l *lifecycle) init() {
	l.ctx, l.cancel = context.WithCancelCause(context.Background())
	l.opened, l.stopped = make(chan struct{}), make(chan struct{})
}

func (l *lifecycle) now() state { return state(l.state.Load()) }

// advance goes to the next state, and reports whether the transition is allowed.
func (l *lifecycle) advance(next state) bool {
	for {
		now := l.now()
		if !now.mayBecome(next) {
			return false
		}
		if l.state.CompareAndSwap(int32(now), int32(next)) {
			if next == stateOpen {
				close(l.opened)
			}
			return true
		}
	}
}

// lingered ends lingering: the socket is closed.
func (l *lifecycle) lingered() { l.state.CompareAndSwap(int32(stateLingering), int32(stateClosed)) }

// sends reports whether calls and answers may be sent.
func (l *lifecycle) sends() bool { s := l.now(); return s == stateOpen || s == stateDraining }

// ended reports whether the connection has ended. Nothing is owed to the peer then.
func (l *lifecycle) ended() bool { return l.now() >= stateLingering }

// wasOpened reports whether the negotiation has succeeded, also after the end.
func (l *lifecycle) wasOpened() bool {
	select {
	case <-l.opened:
		return true
	default:
		return false
	}
}

// open follows the negotiation. It sends the messages that have waited for it.
func (b *broker) open() {
	if b.c.now() != stateNegotiating {
		return
	}
	b.deadline.Stop()
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
	if b.c.now() == stateDraining && b.c.inbound.Load() == 0 {
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
	c.out.Close()
	c.endCalls()
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
	stopTimer(b.grace)
	stopTimer(b.alive)
	b.silence.Stop()
	lost := flavors.ConnectionLost.Wrap(cause)
	b.pending.Clear(func(call *seam.OutgoingCall) { b.complete(call, nil, lost) })
	if b.instantiating && b.at.answers {
		b.complete(b.at.call, nil, lost) // The command itself is the instantiator's at this moment.
	}
	// A connection that is still referenced must not keep alive what was received over it.
	b.instantiating, b.at, b.backlog = false, delivery{}, nil
	b.failWaiting(lost)
	b.clearTables()
	c.forgetAvatars()
	c.arrivals.Load().Close()
	c.countRejection(rejectionOf(cause))
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

// sever closes the socket, which both codec actors notice, and ends the context.
func (c *connection) sever(cause error) {
	c.cancel(cause)
	c.post(closeNow{cause: cause})
	netio.Close(c.sock)
}

// hangUp ends the connection from outside its broker, in any state.
func (c *connection) hangUp() {
	c.cancel(ErrClosed)
	netio.Close(c.sock)
}

// superviseClose registers the connection with the runtime's close: first the peer's calls in progress are answered and
// the outbox is written, later the socket is closed in any case.
func (c *connection) superviseClose() {
	cancelDrain := c.rt.OnClose(actor.PhaseDrain, "connection with "+c.peer, func(ctx context.Context) error {
		if c.wasOpened() {
			c.post(drain{})
		} else {
			c.hangUp()
		}
		select {
		case <-c.stopped:
		case <-ctx.Done():
		}
		return nil
	})
	cancelDisconnect := c.rt.OnClose(actor.PhaseDisconnect, "connection with "+c.peer, func(context.Context) error {
		c.hangUp()
		return nil
	})
	context.AfterFunc(c.ctx, func() {
		cancelDrain()
		cancelDisconnect()
	})
}
