package broker

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/perspectivebroker/pb/broker/internal/netio"
	"github.com/perspectivebroker/pb/broker/internal/patience"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/usercode"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// broker is the actor of one connection. It alone owns the tables; every reference count changes in its turn, so the
// order on the wire is the order in the tables. It never runs user code and never waits.
type broker struct {
	c *connection

	tables

	backlog       []*batch // what was read and is not carried out yet, in order
	next          int      // the command in backlog[0] that is to be carried out next
	instantiator  *protoactor.PID
	instantiating bool     // the instantiator has the current command; later ones wait
	at            delivery // the command at hand

	freshRefs, freshCaches fresh
	collecting             bool // a garbage collection has been asked for …
	paused                 bool // … and the next command waits for it

	state   brokerState
	waiting []any // what was to be sent before the negotiation was through

	deliveries uint64    // how many calls of the peer were delivered
	held       []*hold   // messages that wait for the states of Cacheables, or behind such, in the order in which they came
	asking     int       // how many of them have asked for states
	lingers    bool      // the peer has been told that nothing more will come; its last words are read before the socket is closed
	closing    *closeNow // what is to be done when nothing is held any more
	// lastCalls is set when the peer has hung up, and calls that it has sent before may still begin.
	lastCalls bool
	ending    error // why it is flushing

	// Of the frame that is being stamped.
	undo     []func() // takes back what was counted
	states   map[*flavors.Core]*cacheState
	refBase  int    // the highest reference id so far
	filling  []byte // what goes into its holes, one behind the other …
	fillEnds []int  // … and where each ends
	nextFill int

	deadline *patience.Timer // of the handshake, later of closing
	grace    *time.Timer     // of the oldest entry that lingers; nil while there is none
	alive    *time.Timer     // for the next look whether the peer is there; nil without keepalive
	silence  *patience.Timer // of the answer to the last ping
	asked    int64           // when the last ping was sent, by uptime
	fatal    error           // ends the connection after the command at hand
	unknown  int             // commands that were not understood
}

type brokerState uint8

const (
	brokerNegotiating brokerState = iota
	brokerOpen
	brokerFlushing // closing in good order: nothing new, what waits is written
	brokerEnded
)

// Messages to the broker, beside *flavors.OutgoingCall, *batch and those of the codec actors.
type (
	outgoingAnswer struct {
		inv      *flavors.Invocation
		fragment *jelly.Fragment
		isError  bool
	}
	cancelCall struct{ call *flavors.OutgoingCall }
	forgetAll  struct{}
	// drain lets the calls in flight be answered and then closes.
	drain struct{}
	// reached is closed when it arrives: everything that was posted before it has been handled by then.
	reached       chan struct{}
	drainCheck    struct{}
	graceOver     struct{}
	handshakeOver struct{}
	closeNow      struct {
		cause error
		flush bool
	}
)

// Receive implements protoactor.Actor.
func (b *broker) Receive(ctx protoactor.Context) {
	switch m := ctx.Message().(type) {
	case *protoactor.Started:
		b.start(ctx)
	case *batch:
		b.receive(ctx, m)
	case *flavors.OutgoingCall, *outgoingAnswer, forgetAll, observerGone:
		b.outgoing(m)
	case *stated:
		b.stated(m)
	case holdOver:
		if len(m.hold.wanted) > 0 {
			b.c.countRejection(rejectState)
			b.failHold(m.hold, errStateTimeout)
		}
	case *instantiated:
		b.instantiated(ctx, m)
	case collected:
		b.collected()
		b.work(ctx)
	case *settle:
		m.arrivals = b.c.arrivedSoFar()
		close(m.known)
	case cancelCall:
		b.cancel(m.call)
	case negotiated:
		b.open()
	case readEnded:
		b.socketEnded(ctx, m.cause)
	case writeFailed:
		b.socketEnded(ctx, m.cause)
	case drain:
		b.c.draining.Store(true)
		b.drained(ctx)
	case drainCheck:
		b.drained(ctx)
	case keepaliveDue:
		b.checkAlive()
	case keepaliveOver:
		if b.isSilent(m) {
			b.end(ctx, ErrSilent)
		}
	case reached:
		close(m)
	case graceOver:
		b.grace = nil
		b.sweep()
	case handshakeOver:
		if b.state == brokerNegotiating {
			b.end(ctx, protocolErrorf("", "the peer did not negotiate within %v", b.c.limits.Handshake).as(rejectHandshake))
		}
	case closeNow:
		b.close(ctx, m)
	case flushed:
		if b.state == brokerFlushing {
			b.lingers = m.half
			b.end(ctx, b.ending)
		}
	case *protoactor.Terminated:
		b.end(ctx, fmt.Errorf("broker: the codec actor %s ended", m.Who.Id))
	case *protoactor.Stopping:
		b.finish(ErrClosed)
	case *protoactor.Stopped:
		close(b.c.gone)
	}
}

// start brings the codec actors up and speaks first if we are the accepting side.
func (b *broker) start(ctx protoactor.Context) {
	c := b.c
	c.pid = ctx.Self() // Everybody else sees the connection later: through its factories, or when it is ready.
	b.startTables()
	registryOf(c.rt).add(c)
	usercode.Log(func() { c.log.Debug().Msg("broker started") })
	if err := b.publish(); err != nil {
		usercode.Log(func() {
			c.log.Error().Err(usercode.LogError(err)).Msg("a connection is refused, because there is nothing to show it")
		})
		b.end(ctx, err)
		return
	}
	b.deadline = b.afterWaiting(c.limits.Handshake, handshakeOver{})
	encoderProps := c.rt.Props(func() protoactor.Actor { return &encoder{c: c} },
		protoactor.WithMailbox(func() protoactor.Mailbox { return c.writing }))
	c.encoder = ctx.SpawnPrefix(encoderProps, "encoder")
	if !c.client {
		b.append(appendOffer)
	}
	ctx.SpawnPrefix(c.rt.Props(func() protoactor.Actor { return &decoder{c: c} }), "decoder")
}

// publish puts the objects in place that the peer can call by name.
func (b *broker) publish() error {
	published := b.c.published
	b.c.published, b.c.offers = nil, len(published)
	for name, root := range published {
		var v any
		err := calling("its RootFactory", func() (err error) { v, err = root(&b.c.conn); return err })
		if err == nil {
			err = b.publishAs(name, v)
		}
		if err != nil {
			return usercode.Wrap(err, "broker: the object published as %q cannot be had", name)
		}
	}
	return nil
}

// open is the end of the negotiation: what was handed over meanwhile goes out.
func (b *broker) open() {
	if b.state != brokerNegotiating {
		return
	}
	b.state = brokerOpen
	b.deadline.Stop()
	if b.c.client {
		b.append(b.c.appendChoice)
	}
	b.append(b.c.appendVersion)
	usercode.Log(func() { b.c.log.Debug().Stringer("profile", b.c.profile).Msg("connection open") })
	b.listen()
	close(b.c.ready)
	waiting := b.waiting
	b.waiting = nil
	for _, m := range waiting {
		b.outgoing(m)
	}
}

// after sends a message to the broker itself when d has passed.
func (b *broker) after(d time.Duration, message any) *time.Timer {
	c := b.c
	return time.AfterFunc(d, func() { c.post(message) })
}

// afterWaiting is after for what the peer, or code of the application's, is waited for: a pause of the process does not
// count.
func (b *broker) afterWaiting(d time.Duration, message any) *patience.Timer {
	c := b.c
	return patience.AfterFunc(d, func() { c.post(message) })
}

// drained closes in good order once the peer's calls have been answered.
func (b *broker) drained(ctx protoactor.Context) {
	if b.c.draining.Load() && b.c.inbound.Load() == 0 {
		b.close(ctx, closeNow{cause: ErrClosed, flush: true})
	}
}

// close ends the connection, in good order if that is asked for and still possible.
func (b *broker) close(ctx protoactor.Context, m closeNow) {
	if !m.flush || b.state != brokerOpen {
		if b.state != brokerFlushing || !m.flush {
			b.end(ctx, m.cause)
		}
		return
	}
	if len(b.held) > 0 {
		b.closing = &m // What was handed over before goes out first.
		return
	}
	b.state, b.ending = brokerFlushing, m.cause
	b.deadline = b.afterWaiting(b.c.limits.Stall, closeNow{cause: m.cause})
	ctx.Send(b.c.encoder, flushAndReport{})
}

// socketEnded ends the connection. Where the peer has hung up, calls that it sent before may begin for a moment: a peer
// that hangs up behind its last calls means them to be carried out.
func (b *broker) socketEnded(ctx protoactor.Context, cause error) {
	switch {
	case b.lastCalls: // It hears both of reading and of writing.
	case b.state != brokerOpen, cause == ErrClosed, usercode.Is(cause, os.ErrDeadlineExceeded), isProtocolError(cause),
		len(b.backlog) == 0 && !b.instantiating && !b.c.isCalled():
		b.end(ctx, cause)
	default:
		b.lastCalls = true
		b.deadline = b.afterWaiting(lastCallTime, closeNow{cause: cause})
	}
}

func isProtocolError(err error) bool {
	var protocol *ProtocolError
	return usercode.AsInto(err, &protocol)
}

// end is the end of the connection, whatever the reason.
func (b *broker) end(ctx protoactor.Context, cause error) {
	if b.state == brokerEnded {
		return
	}
	if b.state == brokerFlushing && cause == ErrPeerClosed {
		cause = b.ending
	}
	b.finish(cause)
	ctx.Stop(ctx.Self())
}

// finish undoes everything that depends on the connection. It runs exactly once, in the broker's turn.
func (b *broker) finish(cause error) {
	if b.state == brokerEnded {
		return
	}
	b.state = brokerEnded
	c := b.c
	c.over.Store(true)
	c.cancel(cause)
	cause = context.Cause(c.ctx) // whoever severed the connection said why first
	logEnd(c, cause)
	c.out.Close()
	c.endCalls()
	c.account.Close()
	if b.lingers {
		c.linger.Start(c.sock)
	} else {
		netio.Close(c.sock)
	}
	b.deadline.Stop()
	stopTimer(b.grace)
	stopTimer(b.alive)
	b.silence.Stop()
	lost := flavors.ConnectionLost.Wrap(cause)
	b.pending.Clear(func(call *flavors.OutgoingCall) { b.complete(call, nil, lost) })
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

func stopTimer(t *time.Timer) {
	if t != nil {
		t.Stop()
	}
}
