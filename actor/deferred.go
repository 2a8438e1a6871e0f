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

// Deferred is a result that comes later: a value or an error, once. All methods may be called from
// any goroutine, and none but Await blocks. A Deferred costs no goroutine and no timer.
type Deferred struct {
	rt *Runtime // may be nil

	mu      sync.Mutex
	state   state
	value   any
	err     error
	first   *listener // who waits, in the order in which they came
	last    *listener
	done    chan struct{} // made when somebody asks
	cancel  Canceller     // what Cancel does
	follows *Deferred     // whose result this one gets, or whose continuation's; nil once settled
}

type state uint8

const (
	pending  state = iota
	promised       // completed with another Deferred, whose result is to come
	settling       // has its result; listeners are being told
	settled        // has its result, and nobody waits
)

// listener is one who waits for the result: a function, another Deferred or a goroutine.
type listener struct {
	next     *listener
	f        func(any, error)
	follower *Deferred
	waiter   chan struct{} // of a goroutine in Await; it has room for the one word that comes
}

// String says for logs whether the result is there. It does not show it.
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

// Format prints what String returns, whatever the verb: a Deferred is in use by other goroutines.
func (d *Deferred) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, d.String()) }

// Result is the message that [Deferred.PipeTo] sends. An actor receives a *Result.
type Result struct {
	Value any
	Err   error
}

// NewDeferred returns a Deferred that is to be completed with [Deferred.Complete].
func NewDeferred(rt *Runtime) *Deferred { return &Deferred{rt: rt} }

// Init makes d, which must not have been used, a pending Deferred as NewDeferred does. It is for Deferreds that are
// part of something larger, such as a call. Cancel tells owner, which may be nil.
func (d *Deferred) Init(rt *Runtime, owner Canceller) { d.rt, d.cancel = rt, owner }

// Reset makes d, which has its result, as new, to be used again by who has it alone: nobody else may know it any more
// but for whoever completed it, and for him Reset waits.
func (d *Deferred) Reset() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rt, d.state, d.value, d.err = nil, pending, nil, nil
	d.first, d.last, d.done, d.cancel, d.follows = nil, nil, nil, nil, nil
}

// Succeeded returns a Deferred that has a value already.
func Succeeded(value any) *Deferred {
	d := new(Deferred)
	d.Complete(value, nil)
	return d
}

// Failed returns a Deferred that has failed already.
func Failed(err error) *Deferred {
	d := new(Deferred)
	d.Complete(nil, err)
	return d
}

// Complete gives d its result and tells those who wait for it, in the order in which they came, before it returns. It
// reports false, and changes nothing, if d has been completed before. A value that is a *Deferred itself, with a
// nil error, stands for that one's result, as soon as it is there.
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

// settle gives the result and tells the listeners. The caller holds d.mu, which is released.
func (d *Deferred) settle(value any, err error) {
	d.receive(value, err)
	d.announce(nil)
}

// receive notes the result. The caller holds d.mu.
func (d *Deferred) receive(value any, err error) {
	d.value, d.err = value, err
	d.state = settling
	d.cancel, d.follows = nil, nil
	if d.done != nil {
		close(d.done)
	}
}

// announce tells the listeners of d, which has its result, then settles the followers behind it and tells theirs.
// Followers are settled from a list rather than by recursion, so that a long chain of them needs no deep stack. The
// caller holds d.mu, which is released.
func (d *Deferred) announce(behind []*Deferred) {
	over := false
	defer func() {
		if !over {
			go resumeAnnouncing(d, behind) // A listener has ended this goroutine.
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
			d.mu.Unlock() // it was found to wait for itself
		}
		d.receive(value, err)
	}
}

func resumeAnnouncing(d *Deferred, behind []*Deferred) {
	d.mu.Lock()
	d.announce(behind)
}

// tell calls a function of the application's.
func (d *Deferred) tell(f func(any, error)) {
	defer func() {
		if r := recover(); r != nil {
			d.rt.logFunction("a function given to OnComplete panicked", &usercode.Panic{Value: r, Stack: debug.Stack()})
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

// Await waits for the result, or for the end of ctx, whose error it then returns together with its cause. The end of
// ctx does nothing to d; use [Deferred.Cancel] to give it up. Await is for goroutines of your own: in an actor's turn
// it would hold up that actor, so a method returns the Deferred or uses Then.
//
// The result of a remote call is there as soon as the answer has been read. Calls that the peer sent before the answer
// may not have run yet: where that matters, wait for the connection's Settled afterwards, or use Then, which keeps the
// order within one actor.
func (d *Deferred) Await(ctx context.Context) (any, error) {
	switch {
	case d == nil:
		return nil, ErrNilDeferred
	case ctx == nil:
		return nil, ErrNilContext
	}
	d.mu.Lock()
	if d.state >= settling {
		d.mu.Unlock()
		return d.value, d.err
	}
	l := d.rt.takeWaiter()
	d.listen(l)
	d.mu.Unlock()
	if ended := ctx.Done(); ended == nil {
		<-l.waiter
	} else {
		select {
		case <-l.waiter:
		case <-ended:
			if d.leave(l) {
				d.rt.giveWaiter(l)
				return nil, contextError(ctx)
			}
			<-l.waiter // The result came at the same time.
		}
	}
	d.rt.giveWaiter(l)
	return d.value, d.err // They were written before the word was sent, and do not change any more.
}

// takeWaiter returns a listener for Await. These are used again: a call that is waited for should not cost more memory
// for that. Each Runtime has its own, since a channel that was made in a bubble of testing/synctest is good in there
// only.
func (rt *Runtime) takeWaiter() *listener {
	if rt != nil {
		if l, ok := rt.waiters.Get().(*listener); ok {
			return l
		}
	}
	return &listener{waiter: make(chan struct{}, 1)}
}

func (rt *Runtime) giveWaiter(l *listener) {
	if rt != nil {
		rt.waiters.Put(l)
	}
}

// OnComplete has f called with the result: in the goroutine of whoever completes d, or at once if the result is there.
// f must not block and should not panic. It is meant for code that connects Deferreds with something else; use Then to
// run anything of an actor's.
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

// leave removes a listener, and reports whether it was still there to be removed.
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

// PipeTo sends the result to an actor as a *[Result]. It reports false, and sends
// nothing, for a Deferred that knows no actor system: one that was made by Succeeded or Failed.
func (d *Deferred) PipeTo(pid *protoactor.PID) bool {
	if d == nil || d.rt == nil || pid == nil {
		return false
	}
	d.OnComplete(func(value any, err error) {
		d.rt.root.Send(pid, &Result{Value: value, Err: err})
	})
	return true
}

// follow has d get the result of source. d is promised.
func (d *Deferred) follow(source *Deferred) {
	// Every member of a cycle marks itself before it looks, so that at least one of them sees all of it.
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
		d.follows = source // so that the next one to follow has a short way
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

// promise returns the Deferred at the end of those that stand for another.
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

// Canceller owns work whose result a Deferred stands for, and can give it up.
type Canceller interface {
	// CancelWork is called by Cancel of the Deferred, at most once and before it fails. It must not wait.
	CancelWork()
}

// cancelFunc is what OnCancel was given.
type cancelFunc func()

// CancelWork implements Canceller.
func (f cancelFunc) CancelWork() { f() }

// OnCancel sets what Cancel does first, so that the owner of the work can give it up. It replaces what was set before.
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

// Cancel gives up waiting. It does what OnCancel set, and then fails d with ErrCancelled, if that has not completed
// it. Where d comes from Then, or stands for another Deferred, it is the one at the source that is cancelled,
// and the failure runs down the continuations from there; everyone who waits for the same source sees it.
// Nothing happens if the result is there.
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
			d.rt.logFunction("a function given to OnCancel panicked", p)
		}
	}
	d.Complete(nil, ErrCancelled)
}

// All returns a Deferred whose value is a []any with the values of ds, in their order, once all are there. It fails
// as soon as one of them does, with that one's error. Cancelling it cancels all of them.
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

// Turn is what a continuation runs in: an actor that is alive. Every protoactor.Context is one.
type Turn interface {
	Self() *protoactor.PID
	ActorSystem() *protoactor.ActorSystem
	Actor() protoactor.Actor
}

// Poster is implemented by a Turn that knows its own way to queue a continuation. It is preferred where it is
// implemented. Post may be called from any goroutine, also long after the turn in which the Poster was handed out. It
// must call exactly one of the two functions once: run in a turn of the same instance of the actor, behind
// the user messages that were queued before, or else drop with the reason. A panic of run is to be passed on to
// the supervisor.
type Poster interface {
	Post(run func(), drop func(reason error))
}
