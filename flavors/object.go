package flavors

import (
	"reflect"
	"runtime/debug"

	"github.com/perspectivebroker/pb/actor"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// PanicError is how a call fails whose method panicked. The peer is not told the value.
type PanicError = actor.PanicError

// object is the actor of one Referenceable: it runs the methods of the user's struct, one at a time.
type object struct {
	core    *Core
	mailbox *actor.Mailbox
	again   bool // this incarnation follows one that panicked
	ended   bool // the core no longer knows this actor: the value is not ours any more
	seat    *seat
	gone    error // what calls fail with that come after the end

	table  *MethodTable // of the last call's prefix
	prefix Prefix
}

// Resetter is implemented by objects that want a clean state after a panic. Reset runs in the object's turn before the next call.
// Without it, and without a producer (see [New]), the object goes on with the state in which the panic left it.
type Resetter interface{ Reset() }

// turn is a function to be run in the object's turn: Do, and continuations of Deferreds.
type turn struct {
	run  func()
	done *actor.Deferred // nil for a continuation, which reports for itself
	drop func(error)
	// incarnation is the one the continuation was made in; a Do belongs to none.
	incarnation uint64
	bound       bool
}

// Drop implements actor.Droppable.
func (t *turn) Drop(cause error) {
	if t.drop != nil {
		t.drop(cause)
	}
	if t.done != nil {
		t.done.Complete(nil, cause)
	}
}

// Receive implements protoactor.Actor.
func (o *object) Receive(ctx protoactor.Context) {
	switch m := ctx.Message().(type) {
	case *protoactor.Started:
		o.incarnate(ctx)
	case *Invocation:
		if !o.park(m) {
			o.guarded(ctx, func() { m.run(o) })
		}
	case resume:
		o.resume(ctx, m.parking)
	case *turn:
		o.guarded(ctx, func() { o.runTurn(m) })
	case *observe:
		o.guarded(ctx, func() { m.run(o.core) })
	case *unobserve:
		o.guarded(ctx, func() { m.run(o.core) })
	case checkIdle:
		o.settle(ctx)
	case *protoactor.Stopped:
		if !o.ended {
			o.core.stopped(o.mailbox)
			o.dropParked()
		}
		o.retire()
	}
}

// seat is what the Props of an object's actor know of its core. Upstream's lists of children keep PIDs of ended ones until others take
// their place, and a PID leads to the mailbox, the context, the Props: cut here, none of that holds on to the user's value.
type seat struct{ core *Core }

// retire lets go of the core when the actor has ended; only the error for latecomers stays.
func (o *object) retire() {
	o.gone = o.core.stoppedError()
	o.seat.core, o.core, o.table = nil, nil, nil
}

// guarded runs user code. What panics there has been answered already and goes on to the supervisor.
func (o *object) guarded(ctx protoactor.Context, f func()) {
	panicking := true
	defer func() {
		if panicking {
			// The supervisor has yet to decide, and a restart must not find the actor stopping: only count.
			o.core.settleLater(o.mailbox)
		}
	}()
	f()
	panicking = false
	o.settle(ctx)
}

func (o *object) settle(ctx protoactor.Context) {
	if o.core.settle(o.mailbox) {
		o.ended = true
		ctx.Stop(ctx.Self())
	}
}

// incarnate prepares the value for its first call, or for the first after a restart.
func (o *object) incarnate(ctx protoactor.Context) {
	c := o.core
	c.started(o.mailbox, ctx.Self())
	broken, produce := c.isBroken()
	switch {
	case !broken && !o.again:
		return
	case produce != nil:
		o.renew(produce)
		return
	}
	if r, ok := c.Value().(Resetter); ok {
		r.Reset()
	}
	c.mended(nil)
}

// methods is the table for calls that come by way of a prefix; an object is nearly always reached by way of one.
func (o *object) methods(p Prefix) (*MethodTable, error) {
	if o.table != nil && o.prefix == p {
		return o.table, nil
	}
	table, err := methodsFor(reflect.TypeOf(o.core.Value()), p)
	if err == nil {
		o.table, o.prefix = table, p
	}
	return table, err
}

// Undelivered implements actor.Undertaker: what was sent to an object that has stopped for good is answered with an error, at once.
func (o *object) Undelivered(message any) {
	if m, ok := message.(actor.Droppable); ok {
		if o.core != nil {
			o.gone = o.core.stoppedError()
		}
		m.Drop(o.gone)
	}
}

// renew puts a fresh instance behind the core.
func (o *object) renew(produce func() any) {
	fresh := produce()
	r, ok := fresh.(anchored)
	if !ok || r.anchored() == nil {
		panic("flavors: the producer of a restarted object made nothing that can be referenced")
	}
	r.anchored().core.Store(o.core)
	o.core.mended(fresh)
}

func (o *object) runTurn(t *turn) {
	if t.bound && t.incarnation != o.core.incarnation.Load() {
		t.Drop(actor.ErrRestarted)
		return
	}
	returned := false
	defer func() {
		if returned {
			return
		}
		r := recover()
		if r == nil {
			t.finish(actor.ErrGoexit)
			return
		}
		t.finish(&PanicError{Value: r, Stack: debug.Stack()})
		panic(r)
	}()
	t.run()
	returned = true
	t.finish(nil)
}

// finish tells who waits for a Do; a continuation has told for itself.
func (t *turn) finish(err error) {
	if t.done != nil {
		t.done.Complete(nil, err)
	}
}
