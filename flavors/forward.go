package flavors

import (
	"errors"
	"sync"

	"github.com/perspectivebroker/pb/actor"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// errAnswersLater is what a handler returns that has seen to it that the invocation will be answered.
var errAnswersLater = errors.New("flavors: answered later")

// Forwarder is an object whose calls are received by an actor of the application's own. See [Forward].
type Forwarder struct {
	Referenceable
	rt  *actor.Runtime
	pid *protoactor.PID

	mu sync.Mutex
	// Guarded by mu.
	open  map[*Invocation]struct{} // passed on, not answered
	watch bool
	ended bool
}

// Forward makes an object of an actor: send it, or publish it, as any other. Each call reaches the actor as a *[Invocation], which it
// answers, then or later, with [Invocation.Answer]. When the actor ends, calls that it has not answered fail, and so does every
// later one.
func Forward(rt *actor.Runtime, pid *protoactor.PID) *Forwarder {
	return &Forwarder{rt: rt, pid: pid, open: map[*Invocation]struct{}{}}
}

// HandleRemote implements Handler.
func (f *Forwarder) HandleRemote(inv *Invocation) (any, error) {
	inv.onAnswer = f.answered // From the next lines on the actor's end may answer it.
	f.mu.Lock()
	if f.ended {
		f.mu.Unlock()
		return nil, ErrObjectStopped
	}
	f.open[inv] = struct{}{}
	watch := !f.watch
	f.watch = true
	f.mu.Unlock()
	if watch {
		f.rt.WhenStopped(f.pid, f.end)
	}
	f.rt.Root().Send(f.pid, inv)
	return nil, errAnswersLater
}

func (f *Forwarder) answered(inv *Invocation) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.open, inv)
}

// end fails what the actor has left unanswered.
func (f *Forwarder) end() {
	f.mu.Lock()
	f.ended = true
	open := f.open
	f.open = map[*Invocation]struct{}{}
	f.mu.Unlock()
	for inv := range open {
		inv.Drop(ErrObjectStopped)
	}
}
