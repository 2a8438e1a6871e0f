package actor

import (
	"reflect"
	"runtime/debug"

	"github.com/perspectivebroker/pb/internal/usercode"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// Then has f run with the result of d, in a turn of the actor whose turn on is: as a user message, in its place in the
// queue. The Deferred that it returns gets what f returns; where that is a *Deferred, its result. A nil f passes the
// result on. Call it in the turn of on; on need not stay valid.
//
// f does not run if the actor was restarted before its turn came, or has stopped: then the new Deferred fails
// with ErrRestarted or ErrStopped. If f panics, the new Deferred fails with a *PanicError, and the actor's supervisor
// decides about the actor.
//
// An actor that was not made from [Runtime.Props] gets an opaque message in its Receive just before f runs, which it
// should ignore as it does any message that it does not know. If it is a function, as
// with protoactor.PropsFromFunc, a restart cannot be seen, and f runs.
func (d *Deferred) Then(on Turn, f func(value any, err error) (any, error)) *Deferred {
	if d == nil {
		return Failed(ErrNilDeferred)
	}
	next := &Deferred{rt: d.rt, follows: d}
	c := &continuation{f: f, next: next}
	if p, ok := on.(Poster); ok {
		d.OnComplete(func(value any, err error) {
			c.value, c.err = value, err
			c.post(p)
		})
		return next
	}
	if on == nil || on.Self() == nil || on.ActorSystem() == nil {
		c.drop(ErrNoTurn)
		return next
	}
	c.pid, c.instance = on.Self(), on.Actor()
	if g := guardOf(c.instance); next.rt == nil && g != nil {
		next.rt = g.rt
	}
	c.system = on.ActorSystem()
	c.node.target = c
	c.watcher().add(c.pid, &c.node)
	d.OnComplete(c.send)
	return next
}

// post hands the continuation to a Poster of the application's.
func (c *continuation) post(p Poster) {
	panicked := usercode.Do(func() { p.Post(c.runPosted, c.drop) })
	if panicked != nil {
		c.drop(&PanicError{What: "the Post method of a Turn", Value: panicked.Value, Stack: panicked.Stack})
	}
}

// continuation is a function that is to run in an actor's turn. It travels as a user message which the actor
// need not know: upstream calls GetAutoResponse, in the turn, after the actor had a look at it.
type continuation struct {
	envelope protoactor.MessageEnvelope
	node     node // tells when the actor has stopped, and is settled by whoever decides about the continuation
	system   *protoactor.ActorSystem
	pid      *protoactor.PID
	instance protoactor.Actor // the one that asked
	f        func(any, error) (any, error)
	next     *Deferred

	// The result of the first Deferred, written before the continuation is sent.
	value any
	err   error
}

var _ protoactor.AutoRespond = (*continuation)(nil)

func (c *continuation) watcher() *watcher {
	if rt := c.next.rt; rt != nil && rt.system == c.system {
		return rt.watcher
	}
	return watcherOf(c.system)
}

func (c *continuation) discard() *protoactor.PID {
	if rt := c.next.rt; rt != nil && rt.system == c.system {
		return rt.discard
	}
	return discardOf(c.system)
}

// send queues the continuation. Whether the actor still exists is the watcher's business.
func (c *continuation) send(value any, err error) {
	if c.node.settled.Load() {
		return
	}
	c.value, c.err = value, err
	process, found := c.system.ProcessRegistry.Get(c.pid)
	if !found {
		c.drop(ErrStopped)
		return
	}
	c.envelope.Message = c
	c.envelope.Sender = c.discard() // for the answer that upstream makes of it
	process.SendUserMessage(c.pid, &c.envelope)
}

// GetAutoResponse runs the continuation, in the actor's turn.
func (c *continuation) GetAutoResponse(ctx protoactor.Context) any {
	if !sameInstance(c.instance, ctx.Actor()) {
		c.drop(ErrRestarted)
		return nil
	}
	c.run(func(r any, stack []byte) {
		if rt := c.next.rt; rt != nil {
			rt.logPanic("a continuation panicked", r, stack, ctx)
		}
		panic(r) //nolint:forbidigo // it was one, and the supervisor is to decide about the actor
	})
	return nil
}

// runPosted runs the continuation for a Poster.
func (c *continuation) runPosted() {
	c.run(func(r any, stack []byte) {
		if rt := c.next.rt; rt != nil {
			usercode.Log(func() {
				rt.logger.Error().Str("panic", usercode.PanicText(r)).Bytes("stack", stack).Msg("a continuation panicked")
			})
		}
		panic(
			&PanicError{What: "the continuation", Value: r, Stack: stack},
		) //nolint:forbidigo // it was one; the guard takes this kind for logged
	})
}

func (c *continuation) run(panicked func(r any, stack []byte)) {
	if !c.node.leave() {
		return
	}
	finished := false
	defer func() {
		if finished {
			return
		}
		r := recover()
		if r == nil {
			c.next.Complete(nil, ErrGoexit)
			return
		}
		stack := debug.Stack()
		c.next.Complete(nil, &PanicError{What: "the continuation", Value: r, Stack: stack})
		panicked(r, stack)
	}()
	value, err := c.value, c.err
	if c.f != nil {
		value, err = c.f(value, err)
	}
	finished = true
	c.next.Complete(value, err)
}

// drop fails the continuation's Deferred instead of running it.
func (c *continuation) drop(reason error) {
	if c.node.leave() {
		c.next.Complete(nil, reason)
	}
}

// ended is called by the watcher, which has settled the node.
func (c *continuation) ended() { c.next.Complete(nil, ErrStopped) }

// sameInstance tells whether two actors are one. Only pointers tell: functions cannot be compared, and
// values say nothing about the instance, so those are taken for the same.
func sameInstance(a, b protoactor.Actor) bool {
	ta, tb := reflect.TypeOf(a), reflect.TypeOf(b)
	if ta == nil || ta != tb {
		return ta == tb
	}
	return ta.Kind() != reflect.Pointer || a == b
}
