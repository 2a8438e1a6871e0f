package actor

import (
	"context"
	"fmt"
	"io"
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
