package broker

import (
	"errors"
	"fmt"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/internal/seam"
	"github.com/perspectivebroker/pb/internal/usercode"
	"github.com/perspectivebroker/pb/supervision"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// props returns the properties of the connection's broker. Protocol state ends with its socket, so a broker is stopped
// and never restarted. It ends when one of its codec actors fails.
func (c *connection) props() *protoactor.Props {
	return c.rt.Props(
		func() protoactor.Actor { return &broker{c: c} },
		protoactor.WithSupervisor(supervision.StopStrategy(c.rt)),
		protoactor.WithMailbox(func() protoactor.Mailbox { return c.mailbox }),
	)
}

// ReceiveLent implements actor.LentReceiver.
func (b *broker) ReceiveLent(ctx protoactor.Context, message any) bool {
	switch m := message.(type) {
	case *batch:
		b.receive(ctx, m)
	case *seam.OutgoingCall:
		b.outgoing(m)
	default:
		return false
	}
	if len(b.kept.runnable) > 0 {
		b.work(ctx)
	}
	return true
}

// Receive implements protoactor.Actor.
func (b *broker) Receive(ctx protoactor.Context) {
	switch m := ctx.Message().(type) {
	case *protoactor.Started:
		b.start(ctx)
	case *batch:
		b.receive(ctx, m)
	case *seam.OutgoingCall, *outgoingAnswer, flushDecrefs, observerGone, *revoke:
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
	case promiseDone:
		b.promiseIs(m.promise, m.value, m.err)
	case waitOver:
		b.unpark(m.parked)
	case closedCall:
		b.resultThere(m.id, nil, m.err)
	case negotiated:
		b.open()
	case readEnded:
		b.socketEnded(ctx, m.cause)
	case writeFailed:
		b.socketEnded(ctx, m.cause)
	case drain:
		if b.c.advance(stateDraining) {
			b.sayGoaway()
		}
		b.drained(ctx)
	case leave:
		b.left = true
		b.leaves(ctx)
	case moveCheck:
		b.moving = false
		b.drained(ctx)
	case moveOver:
		b.move = nil
		b.drained(ctx)
	case leaveCheck:
		b.leaves(ctx)
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
	case rootsMade:
		b.publish(ctx, m)
	case handshakeOver:
		switch {
		case b.c.now() != stateNegotiating:
		case b.c.encoder == nil:
			b.reject(ctx,
				fmt.Errorf("broker: a RootFactory did not return within Limits.Handshake, %v", b.c.limits.Handshake))
		default:
			b.end(ctx,
				protocolErrorf("", "the peer did not negotiate within %v", b.c.limits.Handshake).as(rejectHandshake))
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
	if len(b.kept.runnable) > 0 {
		b.work(ctx)
	}
}

// start spawns the codec actors. The accepting side sends the first message.
func (b *broker) start(ctx protoactor.Context) {
	c := b.c
	c.pid = ctx.Self() // No other goroutine uses the connection before its factories run or it opens.
	b.startTables()
	registryOf(c.rt).add(c)
	usercode.Log(func() { c.log.Debug().Msg("broker started") })
	b.deadline = b.afterWaiting(c.limits.Handshake, handshakeOver{})
	published := c.published
	c.published, c.offers = nil, len(published)
	if !c.factories {
		b.publish(ctx, c.makeRoots(published))
		return
	}
	started := c.rt.Go("a RootFactory for "+c.peer, func() {
		made := rootsMade{err: errFactoryAbandoned}
		defer func() { c.post(made) }() // also when a factory ends the goroutine
		made = c.makeRoots(published)
	})
	if !started {
		b.end(ctx, ErrClosed)
	}
}

// errFactoryAbandoned ends a connection whose factory called runtime.Goexit.
var errFactoryAbandoned = errors.New("broker: a RootFactory ended its goroutine")

// makeRoots makes the objects that the connection publishes.
func (c *connection) makeRoots(published map[string]RootFactory) rootsMade {
	made := rootsMade{objects: make(map[string]any, len(published))}
	for name, root := range published {
		err := calling("its RootFactory", func() (err error) {
			made.objects[name], err = root.make(&c.conn)
			return err
		})
		if err != nil {
			made.err = usercode.Wrap(err, errUnavailable, name)
			break
		}
	}
	return made
}

const errUnavailable = "broker: the object published as %q is not available"

// publish adds the published objects to the exports, and begins to negotiate.
func (b *broker) publish(ctx protoactor.Context, made rootsMade) {
	c := b.c
	if c.now() != stateNegotiating {
		return // The connection has ended meanwhile.
	}
	for name, v := range made.objects {
		if made.err != nil {
			break
		}
		if err := b.publishAs(name, v); err != nil {
			made.err = usercode.Wrap(err, errUnavailable, name)
		}
	}
	if made.err == nil && c.options.describe {
		made.err = b.publishAs(describerName, &describer{objects: made.objects})
	}
	if made.err != nil {
		b.reject(ctx, made.err)
		return
	}
	encoderProps := c.rt.Props(func() protoactor.Actor { return &encoder{c: c} },
		protoactor.WithMailbox(func() protoactor.Mailbox { return c.writing }))
	c.encoder = ctx.SpawnPrefix(encoderProps, "encoder")
	if !c.client {
		b.append(func(dst []byte) []byte { return banana.AppendOffer(dst, c.options.dialects...) })
	}
	ctx.SpawnPrefix(c.rt.Props(func() protoactor.Actor { return &decoder{c: c} }), "decoder")
}

// reject ends a connection whose published objects are not available.
func (b *broker) reject(ctx protoactor.Context, err error) {
	usercode.Log(func() {
		b.c.log.Error().Err(usercode.LogError(err)).Msg("connection rejected, its root object is not available")
	})
	b.end(ctx, err)
}
