package broker

import (
	"fmt"
	"github.com/perspectivebroker/pb/internal/seam"
	"time"

	"github.com/perspectivebroker/pb/broker/internal/patience"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/usercode"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// broker is the actor of one connection. It alone owns the tables, and reference counts change only in its turn, so the
// order on the wire is the order in the tables. It runs no user code and never blocks.
type broker struct {
	c *connection

	tables

	backlog       []*batch // read but not executed, in order
	next          int      // index in backlog[0] of the next command
	instantiator  *protoactor.PID
	instantiating bool     // the instantiator has the current command; later ones wait
	at            delivery // the current command

	refMarks, cacheMarks collectMarks
	collecting           bool // a garbage collection has been requested
	paused               bool // the next command waits for it

	waiting []any // messages to send once the connection is open

	deliveries uint64         // number of the peer's calls delivered
	held       []*heldMessage // in the order in which they were handed over
	requesting int            // how many of them have requested states

	// How the connection ends; see lifecycle.go.
	ending  error     // the cause while the outbox is flushed
	closing *closeNow // the close request to repeat when no message is held any more
	hungUp  bool      // the peer has closed its side; its last calls may still begin
	lingers bool      // the encoder has ended this side of the socket; the reader discards the rest

	// For the frame that is being stamped.
	undo     []func() // undoes what was counted
	states   map[seam.Core]*cacheState
	refBase  int    // the highest reference id
	filling  []byte // the contents of its placeholders
	fillEnds []int  // the end of each in filling
	nextFill int

	deadline *patience.Timer // for the handshake, later for closing
	grace    *time.Timer     // for the oldest lingering entry; nil if there is none
	alive    *time.Timer     // for the next keepalive check; nil without keepalive
	silence  *patience.Timer // for the answer to the last ping
	asked    int64           // when the last ping was sent, by uptime
	fatal    error           // ends the connection after the current command
	unknown  int             // number of unknown commands
}

// Messages to the broker, beside *seam.OutgoingCall, *batch and those of the codec actors.
type (
	outgoingAnswer struct {
		inv      seam.Call
		fragment *jelly.Fragment
		isError  bool
	}
	cancelCall struct{ call *seam.OutgoingCall }
	forgetAll  struct{}
	// drain closes the connection after the calls in progress were answered.
	drain struct{}
	// reached is closed when it arrives, after everything that was posted before.
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
	case *seam.OutgoingCall, *outgoingAnswer, forgetAll, observerGone:
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

// start spawns the codec actors. The accepting side sends the first message.
func (b *broker) start(ctx protoactor.Context) {
	c := b.c
	c.pid = ctx.Self() // No other goroutine uses the connection before its factories run or it opens.
	b.startTables()
	registryOf(c.rt).add(c)
	usercode.Log(func() { c.log.Debug().Msg("broker started") })
	if err := b.publish(); err != nil {
		usercode.Log(func() {
			c.log.Error().Err(usercode.LogError(err)).Msg("connection rejected, its root object is not available")
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

// publish adds the published objects to the exports.
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
			return usercode.Wrap(err, "broker: the object published as %q is not available", name)
		}
	}
	return nil
}

// after posts a message to the broker after d.
func (b *broker) after(d time.Duration, message any) *time.Timer {
	c := b.c
	return time.AfterFunc(d, func() { c.post(message) })
}

// afterWaiting is after for waiting on the peer or the application: pauses of this process do not count.
func (b *broker) afterWaiting(d time.Duration, message any) *patience.Timer {
	c := b.c
	return patience.AfterFunc(d, func() { c.post(message) })
}

func stopTimer(t *time.Timer) {
	if t != nil {
		t.Stop()
	}
}
