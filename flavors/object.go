package flavors

import (
	"fmt"
	"reflect"
	"runtime/debug"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/internal/seam"
	"github.com/perspectivebroker/pb/internal/usercode"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// PanicError is how a call fails whose method panicked. The peer is not told the value.
type PanicError = actor.PanicError

// object is the actor of one Referenceable: it runs the methods of the user's struct, one at a time.
type object struct {
	core    *objectCore
	mailbox *actor.Mailbox
	again   bool // this incarnation follows one that panicked
	unsound bool // the value is to be made good before it is used
	ended   bool // the core no longer knows this actor: the value is not ours any more
	seat    *seat
	gone    error // what calls fail with that come after the end
	left    []any // what was queued or parked when the object stopped

	table  *MethodTable // of the last call's prefix
	prefix Prefix
}

// Resetter is implemented by objects that want a clean state after a panic. Reset runs in the object's turn before the
// next call. Without it, and without a producer (see [New]), the object goes on with the state in which the panic left
// it.
type Resetter interface{ Reset() }

// turn is a function to be run in the object's turn: Do, and continuations of Deferreds.
type turn struct {
	run  func()
	done *actor.Deferred // nil for a continuation, which reports for itself
	drop func(error)
	// incarnation is the one the continuation was made in; a Do belongs to none.
	incarnation uint64
	bound       bool

	conn    seam.Conn   // of a continuation: whose peer's calls it does not overtake
	turns   *seam.Turns // of a continuation: where it is entered until it has run
	running seam.Turn
}

// Drop implements actor.Droppable.
func (t *turn) Drop(cause error) {
	defer t.leave()
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
	case work:
		o.work(ctx)
	case resume:
		o.resume(ctx, m.parking)
	case mendNow:
		if o.core.beginMending() {
			_ = o.mend() // It is logged, and tried again before the next message.
		}
	case *protoactor.Stopped:
		if !o.ended {
			o.left = o.core.stopped(o.mailbox)
			o.mailbox.PostUserMessage(work{}) // So that it is dropped, however few tokens there are.
		}
		o.retire()
	}
}

// work handles the oldest message of the core's queue.
func (o *object) work(ctx protoactor.Context) {
	if o.ended {
		return
	}
	switch m := o.core.take(o.mailbox).(type) {
	case *Invocation:
		if !o.park(m) {
			o.call(ctx, m)
		}
	case *turn:
		o.guarded(ctx, func() { o.runTurn(m) })
	case *observe:
		o.guarded(ctx, func() { m.run(o) })
	case *unobserve:
		o.guarded(ctx, func() { m.run(o.core) })
	case checkIdle:
		o.settle(ctx)
	}
}

// call runs a method, unless its caller has ended meanwhile.
func (o *object) call(ctx protoactor.Context, inv *Invocation) {
	who := inv.caller // The invocation is used again when it has been answered.
	if !who.enter() {
		inv.dropped()
		o.settle(ctx)
		return
	}
	o.guarded(ctx, func() {
		defer who.leave()
		inv.run(o)
	})
}

// seat is what the Props of an object's actor know of its core. Upstream's lists of children keep PIDs of ended ones
// until others take their place, and a PID leads to the mailbox, the context, the Props: cut here, none of that holds
// on to the user's value.
type seat struct{ core *objectCore }

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

// mendNow has an object make its value good again after a panic, unless a message came first.
type mendNow struct{}

// incarnate begins a new incarnation. It runs no code of the application's: an incarnation that fails before its first
// message would be restarted without end. So the value is made good in a turn of its own, or before the next message.
func (o *object) incarnate(ctx protoactor.Context) {
	c := o.core
	c.started(o.mailbox, ctx.Self())
	broken, mending := c.isBroken()
	o.unsound = broken || o.again
	if o.unsound && !mending {
		o.mailbox.PostUserMessage(mendNow{})
	}
}

// mend makes the value good again: as a fresh instance if it has a producer, otherwise by its Reset method. When the
// code for that panics, the message at hand fails with the error, and the next one tries again.
func (o *object) mend() error {
	if !o.unsound {
		return nil
	}
	c := o.core
	c.beginMending()
	var err error
	p := usercode.Do(func() {
		if produce := c.producer(); produce != nil {
			err = o.renew(produce)
			return
		}
		if r, ok := c.Value().(Resetter); ok {
			r.Reset()
		}
		c.mended(nil)
	})
	if p != nil {
		what := "the code that makes a " + c.typeName() + " good again after a panic"
		c.logPanic(c.logger(), &PanicError{What: what, Value: p.Value, Stack: p.Stack})
		return &PanicError{What: what, Value: p.Value, Stack: p.Stack}
	}
	if err == nil {
		o.unsound = false
	}
	return err
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

// Undelivered implements actor.DeadLetterHandler: what was sent to an object that has stopped for good is answered with
// an error, at once.
func (o *object) Undelivered(message any) {
	if _, ok := message.(work); ok {
		if len(o.left) == 0 {
			return
		}
		message, o.left = o.left[0], o.left[1:]
		if len(o.left) > 0 {
			o.mailbox.PostUserMessage(work{}) // First, since dropping one may panic.
		}
	}
	if m, ok := message.(actor.Droppable); ok {
		m.Drop(o.gone)
	}
}

// renew puts a fresh instance behind the core.
func (o *object) renew(produce func() any) error {
	fresh := produce()
	r, ok := fresh.(anchored)
	if !ok || isNilPointer(fresh) {
		return fmt.Errorf(
			"flavors: the producer of a %s returned a %T after a panic, which cannot take its place",
			o.core.typeName(),
			fresh,
		)
	}
	r.anchored().core.Store(o.core)
	o.core.mended(fresh)
	return nil
}

func isNilPointer(v any) bool {
	p := reflect.ValueOf(v)
	return p.Kind() == reflect.Pointer && p.IsNil()
}

func (o *object) runTurn(t *turn) {
	if t.bound && t.incarnation != o.core.incarnation.Load() {
		t.Drop(actor.ErrRestarted)
		return
	}
	if o.unsound {
		if err := o.mendFor(t); err != nil {
			t.Drop(err)
			return
		}
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
		p := o.core.turnPanicked(r)
		t.finish(p)
		panic(p)
	}()
	t.run()
	returned = true
	t.finish(nil)
}

// mendFor is mend for a turn that has to be told if mend ends the goroutine.
func (o *object) mendFor(t *turn) (err error) {
	err = actor.ErrGoexit
	defer func() {
		if err == actor.ErrGoexit {
			t.Drop(err)
		}
	}()
	err = o.mend()
	return err
}

// turnPanicked logs the panic of a function that ran in the object's turn, unless it is a continuation, which has
// logged it.
func (c *objectCore) turnPanicked(r any) *PanicError {
	if p, ok := r.(*PanicError); ok {
		return p
	}
	p := &PanicError{What: "a function in the turn of a " + c.typeName(), Value: r, Stack: debug.Stack()}
	c.logPanic(c.logger(), p)
	return p
}

func (t *turn) leave() {
	if t.turns != nil {
		t.turns.Leave(&t.running)
	}
}

// finish tells who waits for a Do; a continuation has told for itself.
func (t *turn) finish(err error) {
	t.leave()
	if t.done != nil {
		t.done.Complete(nil, err)
	}
}
