package broker

import (
	"fmt"
	"time"

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

	refMarks, cacheMarks collectMarks
	collecting           bool // a garbage collection has been requested
	paused               bool // the next command waits for it

	waiting []any // messages to send once the connection is open

	deliveries uint64         // how many calls of the peer were delivered
	held       []*heldMessage // in the order in which they were handed over
	requesting int            // how many of them have requested states

	// How the connection ends; see lifecycle.go.
	ending  error     // the cause while the outbox is flushed
	closing *closeNow // the close request to repeat when no message is held any more
	hungUp  bool      // the peer has closed its side; its last calls may still begin
	lingers bool      // the encoder has ended this side of the socket; the reader discards the rest

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
	case *stateReply:
		b.stateArrived(m)
	case stateTimeout:
		b.stateTimedOut(m.held)
	case *instantiated:
		b.instantiated(ctx, m)
	case collected:
		b.collectionOver()
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
		b.c.advance(stateDraining)
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
		if b.c.now() == stateNegotiating {
			b.end(ctx, protocolErrorf("", "the peer did not negotiate within %v", b.c.limits.Handshake).as(rejectHandshake))
		}
	case closeNow:
		b.close(ctx, m)
	case flushed:
		if b.c.now() == stateFlushing {
			b.lingers = m.half
			b.end(ctx, b.ending)
		}
	case *protoactor.Terminated:
		b.end(ctx, fmt.Errorf("broker: the codec actor %s ended", m.Who.Id))
	case *protoactor.Stopping:
		b.finish(ErrClosed)
	case *protoactor.Stopped:
		close(b.c.stopped)
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

func stopTimer(t *time.Timer) {
	if t != nil {
		t.Stop()
	}
}
