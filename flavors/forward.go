package flavors

import (
	"sync"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/internal/usercode"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

var (
	errForwardEnded   = ErrObjectStopped.New("the object has stopped: the actor that its calls are forwarded to has ended")
	errForwardNowhere = ErrObjectStopped.New(
		"calls are forwarded to no actor: Forward was given no runtime or no PID, or was not used to make the Forwarder",
	)
)

// Forwarder is an object whose calls go to an actor of the application. See [Forward].
type Forwarder struct {
	Referenceable
	rt  *actor.Runtime
	pid *protoactor.PID

	mu sync.Mutex
	// Guarded by mu.
	open  map[*Invocation]passage // passed on, not answered
	watch bool
	looks bool // a look at what is open is due
	ended bool
}

// passage is the state of a call that was passed on to the actor.
type passage uint8

const (
	sent   passage = iota
	seen           // one look has found it unhandled
	fenced         // a fence has been sent behind it
)

// forwardLook is how often a Forwarder checks for handlers that have not returned. Then it asks the actor whether it
// has handled the call.
const forwardLook = 250 * time.Millisecond

// Forward makes an object of an actor, to be sent or published as any other. Each call reaches the actor as a
// *[Invocation], which it answers, then or later, with [Invocation.Answer]. If its handler panics, the call fails
// unless it was answered before. When the actor ends, calls without an answer fail, and so do later ones.
//
// If the actor was made from [actor.Runtime.Props], a waiting call is dropped when its user logs out or its connection
// ends, as with other objects. Any other actor gets such a call, and should check [Invocation.Context].
//
// A panic is noticed at once in an actor made from [actor.Runtime.Props], and within a second in any other. Such an
// actor gets a message of an unknown type behind a call that takes longer, which it should ignore.
//
// A call reaches the actor's mailbox before anything that the peer sent later has an effect, so an answer that
// continues in the actor's turn ([actor.Deferred.Then]) finds the earlier calls done. A mailbox that blocks its senders
// would block the whole connection. With interceptors on the connection, neither holds: calls then reach the actor by
// way of a turn of the Forwarder.
func Forward(rt *actor.Runtime, pid *protoactor.PID) *Forwarder {
	return &Forwarder{rt: rt, pid: pid, open: map[*Invocation]passage{}}
}

// HandleRemote implements Handler.
func (f *Forwarder) HandleRemote(inv *Invocation) (any, error) {
	if f.rt.Check() != nil || f.pid == nil {
		return nil, errForwardNowhere
	}
	inv.onAnswer = f.answered // From the next lines on the actor's end may answer it.
	f.mu.Lock()
	if f.ended {
		f.mu.Unlock()
		return nil, errForwardEnded
	}
	f.open[inv] = sent
	f.lookLaterLocked()
	watch := !f.watch
	f.watch = true
	f.mu.Unlock()
	if watch {
		f.rt.WhenStopped(f.pid, f.end)
	}
	// The sender takes the response that the actor system makes of a handled invocation, see GetAutoResponse.
	f.rt.Root().RequestWithCustomSender(f.pid, inv, f.rt.Discard())
	return nil, errAnswersLater
}

// pass passes a call on in the turn of its connection's broker.
func (f *Forwarder) pass(inv *Invocation) {
	defer func() {
		if r := recover(); r != nil { // A middleware of the actor system's, or a mailbox.
			_ = inv.panicked(r)
		}
	}()
	if inv.isTooLate() {
		inv.carriedOut()
		return
	}
	caller := inv.caller
	if !caller.enter() {
		inv.dropped()
		return
	}
	defer caller.leave()
	inv.countForwarded()
	if _, err := f.HandleRemote(inv); err != errAnswersLater {
		inv.drop(err)
	}
}

func (f *Forwarder) lookLaterLocked() {
	if !f.looks {
		f.looks = true
		time.AfterFunc(forwardLook, f.look)
	}
}

// look finds calls whose handler has not returned for a while: it is slow, has not begun, or has panicked. A fence
// behind them tells when the actor has handled them.
func (f *Forwarder) look() {
	var late []*Invocation
	f.mu.Lock()
	f.looks = false
	for inv, p := range f.open {
		if inv.handled.Load() {
			continue
		}
		switch p {
		case sent:
			f.open[inv] = seen
			f.lookLaterLocked()
		case seen:
			f.open[inv] = fenced
			late = append(late, inv)
		}
	}
	f.mu.Unlock()
	if len(late) > 0 {
		f.rt.SendFence(f.pid, func() {
			for _, inv := range late {
				f.passed(inv)
			}
		})
	}
}

// passed is called when the actor is past the invocation. If its handler has not returned, it has panicked: an actor of
// the application's own reports that to its supervisor only.
func (f *Forwarder) passed(inv *Invocation) {
	if inv.hasExpired() {
		inv.carriedOut()
	}
	if inv.handled.Load() || inv.state.Load()&(callClaimed|callDecided) != 0 {
		return
	}
	p := &PanicError{What: "the actor that the call of " + inv.name() + " was forwarded to"}
	usercode.Log(func() {
		inv.conn.Logger().Error().Str("actor", f.pid.Id).Str("method", inv.name()).Int64("request", inv.requestID).
			Msg("an actor panicked on a call that was forwarded to it")
	})
	inv.fail(p)
}

func (f *Forwarder) answered(inv *Invocation) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.open, inv)
}

// end fails the calls that the actor has not answered.
func (f *Forwarder) end() {
	f.mu.Lock()
	f.ended = true
	open := f.open
	f.open = map[*Invocation]passage{}
	f.mu.Unlock()
	for inv := range open {
		inv.Drop(errForwardEnded)
	}
}
