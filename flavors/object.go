package flavors

import (
	"context"
	"fmt"
	"reflect"
	"runtime/debug"
	"runtime/pprof"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/internal/usercode"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// object is the actor of one object: it runs the methods of the user's struct, one at a time.
type object struct {
	core    *objectCore
	mailbox *actor.Mailbox
	again   bool // the previous incarnation panicked
	broken  bool // the value must be repaired before it is used
	ended   bool // the core has dropped this actor, which must not use the value any more
	ref     *coreRef
	gone    error // the error of calls after the end
	left    []any // messages that waited when the object stopped

	table   *MethodTable // of the last call's prefix
	prefix  Prefix
	value   any           // the core's, while there is a table
	name    string        // of the last call's method …
	method  numbered      // … which this is; for the table
	figures *tableFigures // of the table

	caller *peerCaller // of the call that runs; nil if there is none
}

// Resetter is implemented by objects that need a clean state after a panic. Reset runs in the object's turn before the
// next call. Without it, and without a producer (see [New]), the object keeps the state in which the panic left it.
type Resetter interface{ Reset() }

// Receive implements protoactor.Actor.
func (o *object) Receive(ctx protoactor.Context) {
	switch m := ctx.Message().(type) {
	case *protoactor.Started:
		o.incarnate(ctx)
	case actor.Tokens:
		o.work(ctx, m)
	case resume:
		o.resume(ctx, m.parking)
	case repairNow:
		if o.core.beginRepair() {
			_ = o.repair() // It is logged; the next message tries again.
		}
	case *protoactor.Stopped:
		if !o.ended {
			o.left = o.core.stopped(o.mailbox)
			o.mailbox.PostUserMessage(work) // Drops it, even if there are too few tokens.
		}
		o.retire()
	}
}

// work handles the oldest messages of the core's queue, one for each token.
func (o *object) work(ctx protoactor.Context, tokens actor.Tokens) {
	handling := true
	defer func() {
		if handling {
			o.interrupted()
		}
		if tokens > 0 && !o.ended {
			o.mailbox.Unread(tokens)
		}
	}()
	if o.ended {
		handling = false
		return
	}
	message := o.core.take(o.mailbox)
	for {
		tokens--
		handled := o.handle(message)
		switch {
		case tokens == 0 || o.mailbox.IsUrgent():
			handling = false
			if handled {
				o.settle(ctx)
			}
			return
		case !handled:
			message = o.core.take(o.mailbox)
			continue
		}
		var end bool
		if message, end = o.core.settleAndTake(o.mailbox); end {
			handling = false
			o.end(ctx)
			return
		}
	}
}

// handle handles a message that was taken from the core's queue. It reports false if there was none, or if the message
// was parked: then it must not be settled yet.
func (o *object) handle(message any) bool {
	switch m := message.(type) {
	case *Invocation:
		if o.park(m) {
			return false
		}
		o.call(m)
	case *turn:
		o.runTurn(m)
	case checkIdle:
	case task:
		m.run(o)
	default:
		return false
	}
	return true
}

// call runs a method, unless its caller has ended meanwhile.
func (o *object) call(inv *Invocation) {
	if inv.isTooLate() {
		inv.skip()
		return
	}
	if !inv.caller.enter() {
		inv.dropped()
		return
	}
	o.caller = inv.caller // inv is pooled once it has been answered.
	inv.run(o)
	o.leave()
}

// leave counts a call whose method has returned, for its caller.
func (o *object) leave() {
	caller := o.caller
	o.caller = nil
	caller.leave()
}

// park parks a call whose answer would only wait to be written.
func (o *object) park(inv *Invocation) bool {
	if !inv.wantsAnswer || !inv.conn.Congested() {
		return false
	}
	p := o.core.park(inv)
	if p == nil {
		return false
	}
	o.resumeLater(p)
	return true
}

func (o *object) resumeLater(p *parking) {
	mailbox := o.mailbox
	// The resume message does not count as in flight: the calls do.
	p.conn.WhenClear(func() { mailbox.PostUserMessage(resume{p}) })
}

// resume runs the first parked message. Calls of other connections come in between.
func (o *object) resume(ctx protoactor.Context, p *parking) {
	if o.ended {
		return
	}
	if p.conn.Congested() {
		o.resumeLater(p)
		return
	}
	first, more := o.core.unpark(p)
	if more {
		o.mailbox.PostUserMessage(resume{p})
	}
	handling := true
	defer func() {
		if handling {
			o.interrupted()
		}
	}()
	switch m := first.(type) {
	case *Invocation:
		o.call(m)
	case *turn:
		o.runTurn(m)
	}
	handling = false
	if first != nil {
		o.settle(ctx)
	}
}

// run carries out the call in the object's turn.
func (inv *Invocation) run(o *object) {
	inv.incarnation, inv.began = o.core.active.incarnation.Load(), true
	returned := false
	defer func() {
		if returned {
			return
		}
		defer inv.conn.Turns().Leave(&inv.turn)
		defer inv.carriedOut()
		r := recover()
		if r == nil {
			inv.fail(actor.ErrGoexit)
			return
		}
		if p := inv.interception.panic(); p != nil && r == any(p) {
			panic(r) // The call has been answered.
		}
		panic(inv.panicked(r)) // The supervisor decides about the object.
	}()
	if err := o.repair(); err != nil {
		inv.carriedOut()
		inv.fail(err)
		returned = true
		return
	}
	table, err := o.methods(inv.prefix)
	if err != nil {
		inv.carriedOut()
		inv.fail(err)
		returned = true
		return
	}
	turns := inv.conn.Turns()
	turns.Enter(&inv.turn)
	if p := inv.relay.how(); p != nil && p.Admit != nil {
		if err := p.Admit(); err != nil {
			inv.releaseRaw()
			inv.carriedOut()
			inv.fail(err)
			turns.Leave(&inv.turn)
			returned = true
			return
		}
	}
	m := o.lookup(inv.Method)
	if inv.relay.isRaw() {
		if err := inv.decodeLate(m.caller); err != nil {
			inv.carriedOut()
			inv.fail(err)
			turns.Leave(&inv.turn)
			returned = true
			return
		}
	}
	v, kept, err := o.invoke(table, inv, m)
	returned = true
	_, later := v.(*actor.Deferred)
	if later && !kept {
		// The call must not keep its arguments alive.
		inv.Args, inv.Kw = nil, nil
		clear(inv.room[:])
	}
	if inv.prefix == PrefixObserve && err == nil {
		o.core.updated()
	}
	if err == errAnswersLater {
		turns.Leave(&inv.turn)
		return
	}
	c := inv.interception.current() // Read before finish: then the invocation may be another call's.
	if err == nil && !later && !inv.interception.lingers() && inv.finish() {
		switch gone := inv.send(v, nil); {
		case !gone:
			turns.Leave(&inv.turn)
		case c != nil:
			c.free()
		case !kept:
			inv.free()
		}
		return
	}
	if !inv.interception.isLater() {
		inv.carriedOut()
	}
	if c != nil {
		panicked := inv.interception.panicked
		if gone := inv.answerIntercepted(v, err); !gone {
			turns.Leave(&inv.turn)
		} else {
			c.free()
		}
		if panicked != nil {
			returned = false
			panic(panicked)
		}
		return
	}
	if gone := inv.answerFrom(v, err); !gone {
		turns.Leave(&inv.turn)
	} else if !kept {
		inv.free()
	}
}

// invoke counts a call and runs its method m, with the method's label if profiles show it.
func (o *object) invoke(table *MethodTable, inv *Invocation, m numbered) (v any, kept bool, err error) {
	if o.figures == nil {
		o.figures = table.figures(inv.conn.Figures().Set())
	}
	if inv.countBegun(table, m, o.figures) {
		defer pprof.SetGoroutineLabels(context.Background())
	}
	if chain := chainOf(inv.conn); chain != nil && inv.prefix != PrefixObserve {
		if err = inv.bind(nil); err != nil {
			return nil, true, err
		}
		v, err = inv.intercepted(chain, o, m)
		return v, true, err
	}
	return table.invoke(o.value, inv, m)
}

// panicked logs a panic of the method and answers the call.
func (inv *Invocation) panicked(r any) *PanicError {
	p := &PanicError{What: "the method " + inv.name(), Value: r, Stack: debug.Stack()}
	defer inv.fail(p) // also when the logger ends the goroutine
	inv.logPanic(p)
	return p
}

// coreRef is what the Props of an object's actor keep of the core. protoactor's lists of children keep PIDs of ended
// actors for a while, and a PID leads to the mailbox, the context and the Props. The reference is cut when the actor
// ends, so that none of these keeps the user's value alive.
type coreRef struct{ core *objectCore }

// retire drops the core when the actor has ended. Only the error for later calls stays.
func (o *object) retire() {
	o.gone = o.core.stoppedError()
	o.ref.core, o.core, o.table, o.figures, o.value, o.method = nil, nil, nil, nil, nil, numbered{}
}

// interrupted is called when user code panicked, or ended the goroutine. A panic has been answered by then, and goes on
// to the supervisor.
func (o *object) interrupted() {
	o.leave()
	// The supervisor decides later, and a restart must not find the actor stopping: only count.
	o.core.settleLater(o.mailbox)
}

func (o *object) settle(ctx protoactor.Context) {
	if o.core.settle(o.mailbox) {
		o.end(ctx)
	}
}

// end stops the actor, which the core has dropped.
func (o *object) end(ctx protoactor.Context) {
	o.ended = true
	ctx.Stop(ctx.Self())
}

// repairNow makes an object repair its value after a panic, unless a message came first.
type repairNow struct{}

// incarnate begins a new incarnation. It runs no user code: an incarnation that fails before its first message would be
// restarted for ever. So the value is repaired in a turn of its own, or before the next message.
func (o *object) incarnate(ctx protoactor.Context) {
	c := o.core
	if o.again {
		c.rarity().restarts.Add(1)
	}
	c.started(o.mailbox, ctx.Self())
	broken, repairing := c.isBroken()
	o.broken = broken || o.again
	if o.broken && !repairing {
		o.mailbox.PostUserMessage(repairNow{})
	}
}

// repair makes the value good again: as a fresh instance if it has a producer, otherwise by its Reset method. If that
// panics, the current message fails with the error, and the next one tries again.
func (o *object) repair() error {
	if !o.broken {
		return nil
	}
	c := o.core
	c.beginRepair()
	var err error
	p := usercode.Do(func() {
		if produce := c.producer(); produce != nil {
			err = o.renew(produce)
			return
		}
		if r, ok := c.Value().(Resetter); ok {
			r.Reset()
		}
		c.repaired(nil)
	})
	if p != nil {
		what := "the code that repairs a " + c.typeName() + " after a panic"
		c.logPanic(c.logger(), &PanicError{What: what, Value: p.Value, Stack: p.Stack})
		return &PanicError{What: what, Value: p.Value, Stack: p.Stack}
	}
	if err == nil {
		o.broken = false
	}
	return err
}

// methods returns the table for calls with a prefix. An object is nearly always reached by the same one.
func (o *object) methods(p Prefix) (*MethodTable, error) {
	if o.table != nil && o.prefix == p {
		return o.table, nil
	}
	value := o.core.Value()
	table, err := methodsFor(reflect.TypeOf(value), p)
	if err == nil {
		o.table, o.prefix, o.figures = table, p, nil
		o.value, o.name, o.method = value, "", numbered{}
	}
	return table, err
}

// lookup returns the method of the table with a name, which is often that of the call before.
func (o *object) lookup(name string) numbered {
	if o.method.caller == nil || o.name != name {
		o.name, o.method = name, o.table.lookup(name)
	}
	return o.method
}

// Undelivered implements actor.DeadLetterHandler: what was sent to an object that has stopped for good is answered with
// an error, at once.
func (o *object) Undelivered(message any) {
	if _, ok := message.(actor.Tokens); ok {
		if len(o.left) == 0 {
			return
		}
		message, o.left = o.left[0], o.left[1:]
		if len(o.left) > 0 {
			o.mailbox.PostUserMessage(work) // First, because Drop may panic.
		}
	}
	if m, ok := message.(actor.Droppable); ok {
		m.Drop(o.gone)
	}
}

// renew replaces the value by a fresh instance.
func (o *object) renew(produce func() any) error {
	fresh := produce()
	r, ok := fresh.(anchored)
	if !ok || usercode.IsNilPointer(fresh) {
		return fmt.Errorf(
			"flavors: the producer of a %s returned a %T after a panic, which cannot take its place",
			o.core.typeName(),
			fresh,
		)
	}
	anchor, err := anchorOf(r)
	if err != nil {
		return err
	}
	anchor.core.Store(o.core)
	o.core.repaired(fresh)
	o.table = nil // It leads to the value before.
	return nil
}

func (o *object) runTurn(t *turn) {
	if t.bound && t.incarnation != o.core.active.incarnation.Load() {
		t.Drop(actor.ErrRestarted)
		return
	}
	if o.broken {
		if err := o.repairFor(t); err != nil {
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

// repairFor is repair for a turn, which must fail even if repair ends the goroutine.
func (o *object) repairFor(t *turn) (err error) {
	err = actor.ErrGoexit
	defer func() {
		if err == actor.ErrGoexit {
			t.Drop(err)
		}
	}()
	err = o.repair()
	return err
}

// turnPanicked logs the panic of a function in the object's turn, unless it is a continuation, which has logged it.
func (c *objectCore) turnPanicked(r any) *PanicError {
	if p, ok := r.(*PanicError); ok {
		return p
	}
	p := &PanicError{What: "a function in the turn of a " + c.typeName(), Value: r, Stack: debug.Stack()}
	c.logPanic(c.logger(), p)
	return p
}
