package actor

import (
	"context"
	"fmt"
	"io"
	"reflect"
	"runtime/debug"
	"sync"

	"github.com/perspectivebroker/pb/internal/usercode"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// Deferred is a result that comes later: a value or an error. It is completed once. All methods may be called from any
// goroutine, and only Await blocks. A Deferred needs no goroutine and no timer.
type Deferred struct {
	rt *Runtime // may be nil

	mu      sync.Mutex
	state   state
	value   any
	err     error
	first   *listener // queue of listeners, in the order in which they registered
	last    *listener
	done    chan struct{} // made by the first call of Done
	cancel  Canceller     // called by Cancel
	follows *Deferred     // the Deferred whose result, or whose continuation's result, this one gets; nil once settled
}

type state uint8

const (
	pending  state = iota
	promised       // completed with another Deferred, whose result is pending
	settling       // has its result; listeners are being notified
	settled        // has its result and no listeners
)

// listener waits for a result. It is a function, another Deferred, or a goroutine in Await.
type listener struct {
	next     *listener
	f        func(any, error)
	follower *Deferred
	waiter   chan struct{} // signals a goroutine in Await; has room for one value
	last     bool          // of a waiter: nothing uses the Deferred behind the signal
}

// String reports for logs whether the result is there. It does not show the result.
func (d *Deferred) String() string {
	if d == nil {
		return "<Deferred, nil>"
	}
	switch _, err, over := d.Result(); {
	case !over:
		return "<Deferred, pending>"
	case err != nil:
		return "<Deferred, failed>"
	}
	return "<Deferred, completed>"
}

// Format prints what String returns, whatever the verb, because other goroutines may be changing the Deferred.
func (d *Deferred) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, d.String()) }

// Result is the message that [Deferred.PipeTo] sends. An actor receives a *Result.
type Result struct {
	Value any
	Err   error
}

// NewDeferred returns a pending Deferred, to be completed with [Deferred.Complete].
func NewDeferred(rt *Runtime) *Deferred { return &Deferred{rt: rt} }

// Init makes d, which must be unused, a pending Deferred. It is for a Deferred embedded in a larger struct, such as a
// call. Cancel calls owner, which may be nil.
func (d *Deferred) Init(rt *Runtime, owner Canceller) { d.rt, d.cancel = rt, owner }

// Reset clears d for reuse. d must have its result, and the caller must hold the only reference to it, except for the
// goroutine that completed it: Reset waits until that goroutine has released its lock.
func (d *Deferred) Reset() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reset()
}

func (d *Deferred) reset() {
	d.rt, d.state, d.value, d.err = nil, pending, nil, nil
	d.first, d.last, d.done, d.cancel, d.follows = nil, nil, nil, nil, nil
}

// Succeeded returns a Deferred that already has a value.
func Succeeded(value any) *Deferred {
	d := new(Deferred)
	d.Complete(value, nil)
	return d
}

// Failed returns a Deferred that has already failed.
func Failed(err error) *Deferred {
	d := new(Deferred)
	d.Complete(nil, err)
	return d
}

// Complete sets the result and notifies the listeners, in the order in which they registered, before it returns. It
// returns false and changes nothing if d was already completed. If value is a *Deferred and err is nil, d gets that
// Deferred's result.
func (d *Deferred) Complete(value any, err error) bool {
	if d == nil {
		return false
	}
	d.mu.Lock()
	if d.state != pending {
		d.mu.Unlock()
		return false
	}
	if source, ok := value.(*Deferred); ok && err == nil {
		if source != nil {
			d.state = promised
			d.follows = source
			d.mu.Unlock()
			d.follow(source)
			return true
		}
		value = nil
	}
	d.settle(value, err)
	return true
}

// settle sets the result and notifies the listeners. The caller holds d.mu; settle releases it.
func (d *Deferred) settle(value any, err error) {
	d.receive(value, err)
	if l := d.first; l != nil && l == d.last && l.waiter != nil {
		// One goroutine waits, as for nearly all calls. It is woken last, so that it need not wait for the lock.
		d.first, d.last, d.state = nil, nil, settled
		d.mu.Unlock()
		l.last = true
		l.waiter <- struct{}{}
		return
	}
	d.announce(nil)
}

// receive stores the result. The caller holds d.mu.
func (d *Deferred) receive(value any, err error) {
	d.value, d.err = value, err
	d.state = settling
	d.cancel, d.follows = nil, nil
	if d.done != nil {
		close(d.done)
	}
}

// announce notifies the listeners of d, which has its result. It then settles the followers in behind and notifies
// theirs. It iterates instead of recursing, so a long chain needs no deep stack. The caller holds d.mu; announce
// releases it.
func (d *Deferred) announce(behind []*Deferred) {
	over := false
	defer func() {
		if !over {
			go resumeAnnouncing(d, behind) // A listener called runtime.Goexit.
		}
	}()
	value, err := d.value, d.err
	for {
		for d.first != nil {
			l := d.unlisten()
			switch {
			case l.waiter != nil:
				l.waiter <- struct{}{}
				continue
			case l.follower != nil:
				behind = append(behind, l.follower)
				continue
			}
			d.mu.Unlock()
			d.tell(l.f)
			d.mu.Lock()
		}
		d.state = settled
		d.mu.Unlock()

		for {
			if len(behind) == 0 {
				over = true
				return
			}
			d, behind = behind[0], behind[1:]
			d.mu.Lock()
			if d.state == promised {
				break
			}
			d.mu.Unlock() // it failed with ErrCycle
		}
		d.receive(value, err)
	}
}

func resumeAnnouncing(d *Deferred, behind []*Deferred) {
	d.mu.Lock()
	d.announce(behind)
}

// tell calls a listener's function and logs its panic.
func (d *Deferred) tell(f func(any, error)) {
	defer func() {
		if r := recover(); r != nil {
			d.rt.logFunction("an OnComplete function panicked", &usercode.Panic{Value: r, Stack: debug.Stack()})
		}
	}()
	f(d.value, d.err)
}

// Result returns the result, if it is there.
func (d *Deferred) Result() (value any, err error, ok bool) { //nolint:revive // ok comes last everywhere
	if d == nil {
		return nil, ErrNilDeferred, true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.value, d.err, d.state >= settling
}

// Done returns a channel that is closed when the result is there.
func (d *Deferred) Done() <-chan struct{} {
	if d == nil {
		d = Failed(ErrNilDeferred)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.done == nil {
		d.done = make(chan struct{})
		if d.state >= settling {
			close(d.done)
		}
	}
	return d.done
}

// Await waits for the result or for the end of ctx. In the latter case it returns the error of ctx with its cause, and
// d stays pending; call [Deferred.Cancel] to cancel it. Do not call Await in an actor's turn, because it blocks the
// actor: return the Deferred or use Then.
//
// The result of a remote call is there as soon as the answer has been read. Calls that the peer sent before the answer
// may not have run yet. If that matters, wait for the connection's Settled afterwards, or use Then, which keeps the
// order within one actor.
func (d *Deferred) Await(ctx context.Context) (any, error) {
	switch {
	case d == nil:
		return nil, ErrNilDeferred
	case ctx == nil:
		return nil, ErrNilContext
	}
	value, _, err := d.await(ctx)
	return value, err
}

// InitAwaited is [Deferred.Init] for a Deferred that one goroutine will await in any case, with
// [Deferred.AwaitAndReset]. So the wait needs no lock.
func (d *Deferred) InitAwaited(rt *Runtime, owner Canceller) *Waiter {
	if d == nil {
		return nil
	}
	d.Init(rt, owner)
	w := rt.takeWaiter()
	d.first, d.last = &w.listener, &w.listener
	return w
}

// AwaitAndReset is [Deferred.Await] with what InitAwaited has returned and, if there is a value, [Deferred.Reset]. It
// may be called once, and nobody else may listen to d.
func (d *Deferred) AwaitAndReset(ctx context.Context, w *Waiter) (any, error) {
	switch {
	case d == nil || w == nil:
		return nil, ErrNilDeferred
	case ctx == nil:
		return nil, ErrNilContext
	}
	value, mine, err := d.wait(ctx, w)
	switch {
	case err != nil:
	case mine:
		d.reset()
	default:
		d.Reset()
	}
	return value, err
}

// await waits for the result or for the end of ctx. mine reports whether no other goroutine that completes or awaits d
// uses it any more.
func (d *Deferred) await(ctx context.Context) (value any, mine bool, err error) {
	d.mu.Lock()
	if d.state >= settling {
		mine = d.state == settled
		d.mu.Unlock()
		return d.value, mine, d.err
	}
	w := d.rt.takeWaiter()
	d.listen(&w.listener)
	d.mu.Unlock()
	return d.wait(ctx, w)
}

// wait is await with a waiter that has been registered.
func (d *Deferred) wait(ctx context.Context, w *Waiter) (value any, mine bool, err error) {
	l := &w.listener
	if ended := ctx.Done(); ended == nil {
		<-l.waiter
	} else {
		select {
		case <-l.waiter:
		case <-ended:
			if d.leave(l) {
				d.rt.giveWaiter(w)
				return nil, false, contextError(ctx)
			}
			<-l.waiter // The result is being delivered.
		}
	}
	mine, l.last = l.last, false
	d.rt.giveWaiter(w)
	return d.value, mine, d.err // written before the signal, and final
}

// OnComplete calls f with the result: in the goroutine that completes d, or at once if the result is there. f must not
// block and should not panic. It is for connecting Deferreds with other code; use Then to run code in an actor.
func (d *Deferred) OnComplete(f func(value any, err error)) {
	if f == nil {
		return
	}
	if d == nil {
		d = Failed(ErrNilDeferred)
	}
	d.mu.Lock()
	if d.state == settled {
		d.mu.Unlock()
		d.tell(f)
		return
	}
	d.listen(&listener{f: f})
	d.mu.Unlock()
}

// listen adds a listener. The caller holds d.mu, and d is not settled.
func (d *Deferred) listen(l *listener) {
	if d.last == nil {
		d.first = l
	} else {
		d.last.next = l
	}
	d.last = l
}

// unlisten removes the first listener. The caller holds d.mu, and there is one.
func (d *Deferred) unlisten() *listener {
	l := d.first
	d.first, l.next = l.next, nil
	if d.first == nil {
		d.last = nil
	}
	return l
}

// leave removes a listener and reports whether it was still registered.
func (d *Deferred) leave(gone *listener) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	var before *listener
	for l := d.first; l != nil; before, l = l, l.next {
		if l != gone {
			continue
		}
		if before == nil {
			d.unlisten()
			return true
		}
		before.next, l.next = l.next, nil
		if d.last == l {
			d.last = before
		}
		return true
	}
	return false
}

// PipeTo sends the result to an actor as a *[Result]. It returns false and sends nothing if d has no actor system,
// which is the case for Deferreds made by Succeeded and Failed.
func (d *Deferred) PipeTo(pid *protoactor.PID) bool {
	if d == nil || d.rt == nil || pid == nil {
		return false
	}
	d.OnComplete(func(value any, err error) {
		d.rt.root.Send(pid, &Result{Value: value, Err: err})
	})
	return true
}

// follow makes d, which is promised, get the result of source.
func (d *Deferred) follow(source *Deferred) {
	// Each member of a cycle sets follows before it searches, so at least one of them sees the whole cycle.
	for at := source; at != nil; at = at.followed() {
		if at == d {
			d.mu.Lock()
			if d.state == promised {
				d.settle(nil, ErrCycle)
			} else {
				d.mu.Unlock()
			}
			return
		}
	}
	source = source.promise()
	d.mu.Lock()
	if d.state == promised {
		d.follows = source // shortens the path for the next follower
	}
	d.mu.Unlock()

	source.mu.Lock()
	if source.state < settling {
		source.listen(&listener{follower: d})
		source.mu.Unlock()
		return
	}
	value, err := source.value, source.err
	source.mu.Unlock()
	d.mu.Lock()
	if d.state != promised {
		d.mu.Unlock()
		return
	}
	d.settle(value, err)
}

// promise returns the Deferred at the end of the chain of promises that begins with d.
func (d *Deferred) promise() *Deferred {
	for {
		d.mu.Lock()
		source, further := d.follows, d.state == promised
		d.mu.Unlock()
		if !further {
			return d
		}
		d = source
	}
}

func (d *Deferred) followed() *Deferred {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.follows
}

// Canceller owns the work whose result a Deferred represents.
type Canceller interface {
	// CancelWork abandons the work. Cancel calls it at most once, before the Deferred fails. It must not block.
	CancelWork()
}

// cancelFunc is a function given to OnCancel.
type cancelFunc func()

// CancelWork implements Canceller.
func (f cancelFunc) CancelWork() { f() }

// OnCancel sets the function that Cancel calls first, so that the owner can abandon the work. It replaces the previous
// one.
func (d *Deferred) OnCancel(f func()) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.state != pending {
		return
	}
	d.cancel = nil
	if f != nil {
		d.cancel = cancelFunc(f)
	}
}

// Cancel abandons the result. It calls the function set by OnCancel and then fails d with ErrCancelled, unless that
// function completed d. If d comes from Then or was completed with another Deferred, Cancel cancels the source, and the
// failure reaches d and all other continuations of the source. Cancel does nothing if the result is there.
func (d *Deferred) Cancel() {
	if d == nil {
		return
	}
	for {
		source := d.followed()
		if source == nil {
			break
		}
		if _, _, over := source.Result(); over {
			break
		}
		d = source
	}
	d.mu.Lock()
	cancel := d.cancel
	d.cancel = nil
	d.mu.Unlock()
	if cancel != nil {
		if p := usercode.Do(cancel.CancelWork); p != nil {
			d.rt.logFunction("an OnCancel function panicked", p)
		}
	}
	d.Complete(nil, ErrCancelled)
}

// All returns a Deferred whose value is a []any with the values of ds, in order. It fails with the first failure of any
// of them. Cancelling it cancels all of ds.
func All(ds ...*Deferred) *Deferred {
	all := new(Deferred)
	if len(ds) == 0 {
		all.Complete([]any{}, nil)
		return all
	}
	for i, d := range ds {
		if d == nil {
			all.Complete(nil, fmt.Errorf("actor: All: number %d of %d: %w", i+1, len(ds), ErrNilDeferred))
			return all
		}
		if all.rt == nil {
			all.rt = d.rt
		}
	}
	sum := &gathering{all: all, values: make([]any, len(ds)), missing: len(ds)}
	all.OnCancel(func() {
		for _, d := range ds {
			d.Cancel()
		}
	})
	for i, d := range ds {
		d.OnComplete(func(value any, err error) { sum.add(i, value, err) })
	}
	return all
}

// gathering is the state of All.
type gathering struct {
	all     *Deferred
	mu      sync.Mutex
	values  []any
	missing int
}

func (g *gathering) add(i int, value any, err error) {
	if err != nil {
		g.all.Complete(nil, err)
		return
	}
	g.mu.Lock()
	g.values[i] = value
	g.missing--
	complete := g.missing == 0
	g.mu.Unlock()
	if complete {
		g.all.Complete(g.values, nil)
	}
}

// Then runs f with the result of d, in a turn of the actor whose turn on is. f is queued as a user message. The
// returned Deferred gets the result of f; if that is a *Deferred, its result. A nil f passes the result on. Call Then
// in the turn of on; on need not stay valid afterwards.
//
// If the actor restarts or stops before f runs, f does not run and the returned Deferred fails with ErrRestarted or
// ErrStopped. If f panics, the returned Deferred fails with a *PanicError, and the actor's supervisor decides about the
// actor.
//
// An actor that was not made from [Runtime.Props] receives an opaque message just before f runs and should ignore it
// like any unknown message. If such an actor is a function, as with protoactor.PropsFromFunc, restarts cannot be
// detected and f runs.
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

// Map returns a Deferred that gets the result of f, which is called with the result of d: in the goroutine that
// completes d, or at once if the result is there. If f returns a *Deferred, the new one gets its result. f must not
// block. If f panics, the new Deferred fails with a *PanicError. A nil f passes the result on. Use [Deferred.Then] to
// run code in an actor.
func (d *Deferred) Map(f func(value any, err error) (any, error)) *Deferred {
	if d == nil {
		d = Failed(ErrNilDeferred)
	}
	next := &Deferred{rt: d.rt, follows: d}
	d.OnComplete(func(value any, err error) {
		if f == nil {
			next.Complete(value, err)
			return
		}
		returned := false
		defer func() {
			if !returned {
				next.Complete(nil, ErrGoexit)
			}
		}()
		if p := usercode.Do(func() { value, err = f(value, err) }); p != nil {
			d.rt.logFunction("a function given to Map panicked", p)
			value, err = nil, &PanicError{What: "a function given to Map", Value: p.Value, Stack: p.Stack}
		}
		returned = true
		next.Complete(value, err)
	})
	return next
}

// post passes the continuation to the application's Poster.
func (c *continuation) post(p Poster) {
	panicked := usercode.Do(func() { p.Post(c.runPosted, c.drop) })
	if panicked != nil {
		c.drop(&PanicError{What: "the Post method of a Turn", Value: panicked.Value, Stack: panicked.Stack})
	}
}

// continuation is a function that is to run in an actor's turn. It is sent as a user message. protoactor calls its
// GetAutoResponse in the turn, after the actor has received the message.
type continuation struct {
	envelope protoactor.MessageEnvelope
	node     node // tells when the actor has stopped; settled by the first to decide about the continuation
	system   *protoactor.ActorSystem
	pid      *protoactor.PID
	instance protoactor.Actor // the instance that called Then
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

// send queues the continuation. The watcher handles an actor that stops later.
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
	c.envelope.Sender = c.discard() // receives the automatic response
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
			rt.logPanic("a continuation panicked", r, stack, ctx.Self(), ctx.Message())
		}
		panic(r) //nolint:forbidigo // rethrown for the supervisor
	})
	return nil
}

// runPosted runs the continuation for a Poster.
func (c *continuation) runPosted() {
	c.run(func(r any, stack []byte) {
		if rt := c.next.rt; rt != nil {
			usercode.Log(func() {
				rt.logger.Error().Str("panic", usercode.PanicText(r)).Bytes("stack", stack).
					Msg("a continuation panicked")
			})
		}
		p := &PanicError{What: "the continuation", Value: r, Stack: stack}
		panic(p) //nolint:forbidigo // rethrown; marked as logged
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

// drop fails the continuation's Deferred without running the function.
func (c *continuation) drop(reason error) {
	if c.node.leave() {
		c.next.Complete(nil, reason)
	}
}

// ended implements the node's target. The watcher has settled the node.
func (c *continuation) ended() { c.next.Complete(nil, ErrStopped) }

// sameInstance reports whether a and b are the same instance. Only pointers can tell: functions cannot be compared, and
// equal values may be different instances, so both count as the same.
func sameInstance(a, b protoactor.Actor) bool {
	ta, tb := reflect.TypeOf(a), reflect.TypeOf(b)
	if ta == nil || ta != tb {
		return ta == tb
	}
	return ta.Kind() != reflect.Pointer || a == b
}

// Turn is the context in which a continuation runs: that of a running actor. Every protoactor.Context is a Turn.
type Turn interface {
	Self() *protoactor.PID
	ActorSystem() *protoactor.ActorSystem
	Actor() protoactor.Actor
}

// Poster is implemented by a Turn that queues continuations itself; Then prefers it to the Turn's PID. Post may be
// called from any goroutine, also long after the turn has ended. It must call exactly one of its functions, once: run
// in a turn of the same instance of the actor, after the user messages queued before, or drop with a reason. A panic of
// run must reach the supervisor.
type Poster interface {
	Post(run func(), drop func(reason error))
}
