package actor

import (
	"runtime/debug"
	"sync/atomic"

	"github.com/perspectivebroker/pb/internal/usercode"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// Undertaker is implemented by guarded actors that take care of the messages left when they have
// stopped: Undelivered is called for every one that was queued and every one that
// comes later, in order. What belongs to others must be answered there. For actors that do not implement it, a
// [Droppable] message is dropped and any other becomes a dead letter.
type Undertaker interface {
	Undelivered(message any)
}

// Droppable is implemented by messages that want to know that they will not be handled.
type Droppable interface {
	Drop(reason error)
}

// Failable is implemented by messages that want to know that their handler panicked, so that whoever sent them can be
// told. Failed is called before the supervisor is asked, in the actor's turn.
type Failable interface {
	Failed(reason *PanicError)
}

// Entrant is implemented by messages that may have become void while they waited. Enter is called in the actor's turn:
// a message is handled only if it reports true. Leave is called when the message has been handled.
type Entrant interface {
	Enter() bool
	Leave()
}

// Inner returns the actor that a guard stands before; other actors it returns as they are. It is of use
// on what a protoactor.Context's Actor method returns.
func Inner(a protoactor.Actor) protoactor.Actor {
	if g := guardOf(a); g != nil {
		return g.inner
	}
	return a
}

// guard stands before an instance of an actor. It is small, because there is one for each of them.
type guard struct {
	rt    *Runtime
	inner protoactor.Actor
	late  atomic.Pointer[lateGuard] // made when it is needed
}

// lateGuard is what few actors need before they end. What is not in the group belongs to the actor's turn.
type lateGuard struct {
	instance group           // what ends with this instance of the actor
	self     *protoactor.PID // once Stopped was received
	ending   bool            // Stopping or Restarting was received
}

// decidingGuard stands before an actor that decides about its children itself: upstream looks for that method.
type decidingGuard struct {
	guard
	strategy protoactor.SupervisorStrategy
}

func (rt *Runtime) guard(inner protoactor.Actor) protoactor.Actor {
	if s, ok := inner.(protoactor.SupervisorStrategy); ok {
		return &decidingGuard{guard: guard{rt: rt, inner: inner}, strategy: s}
	}
	return &guard{rt: rt, inner: inner}
}

func guardOf(a protoactor.Actor) *guard {
	switch g := a.(type) {
	case *guard:
		return g
	case *decidingGuard:
		return &g.guard
	}
	return nil
}

// Receive hands the message to the actor, and recovers what would keep it from ending.
func (g *guard) Receive(ctx protoactor.Context) {
	switch m := ctx.Message().(type) {
	case *continuation, *fence:
		return // the actor system calls its GetAutoResponse next
	case *protoactor.Stopping:
		g.needed().ending = true
	case *protoactor.Terminated:
		if m.Who == nobody {
			return
		}
	case *protoactor.Restarting:
		late := g.needed()
		late.ending = true
		defer late.instance.end()
	case *protoactor.Stopped:
		late := g.needed()
		if late.self != nil {
			return // It has been told, and ended the goroutine.
		}
		late.ending = true
		late.self = ctx.Self()
		defer late.instance.end()
	case Entrant:
		if !m.Enter() {
			return
		}
		defer m.Leave()
	}
	defer g.recovered(ctx)
	g.inner.Receive(ctx)
}

// needed returns the late part, which is made on the first call.
func (g *guard) needed() *lateGuard {
	if late := g.late.Load(); late != nil {
		return late
	}
	g.late.CompareAndSwap(nil, new(lateGuard))
	return g.late.Load()
}

func (g *guard) isEnding() bool {
	late := g.late.Load()
	return late != nil && late.ending
}

func (g *guard) hasStopped() bool {
	late := g.late.Load()
	return late != nil && late.self != nil
}

// recovered logs a panic and passes it on to the supervisor. While the actor ends it stops here, with whatever message
// it came: a supervisor's decision would come too late, and the parent would wait for an end that never comes.
func (g *guard) recovered(ctx protoactor.Context) {
	r := recover()
	if r == nil {
		return
	}
	logged, ok := r.(*PanicError)
	if ok {
		r = logged.Value
	} else {
		logged = &PanicError{What: "the handler of an actor", Value: r, Stack: debug.Stack()}
		g.rt.logPanic("an actor's handler panicked", r, logged.Stack, ctx)
	}
	if m, ok := ctx.Message().(Failable); ok {
		m.Failed(logged)
	}
	if !g.isEnding() {
		panic(r) //nolint:forbidigo // it was one, and the supervisor is to decide about it
	}
}

func (rt *Runtime) logPanic(what string, r any, stack []byte, ctx protoactor.Context) {
	usercode.Log(func() {
		rt.logger.Error().Str("actor", pidName(ctx.Self())).Type("on", ctx.Message()).
			Str("panic", usercode.PanicText(r)).Bytes("stack", stack).Msg(what)
	})
}

// dead takes what is left in the mailbox of an actor that has stopped.
func (g *guard) dead(message any) {
	if u, ok := g.inner.(Undertaker); ok {
		u.Undelivered(message)
		return
	}
	switch m := protoactor.UnwrapEnvelopeMessage(message).(type) {
	case Droppable:
		m.Drop(ErrStopped)
	case *protoactor.PoisonPill:
	default:
		g.rt.system.DeadLetter.SendUserMessage(g.needed().self, message)
	}
}

// HandleFailure asks the actor. When that panics the child is stopped.
func (g *decidingGuard) HandleFailure(
	system *protoactor.ActorSystem,
	supervisor protoactor.Supervisor,
	child *protoactor.PID,
	stats *protoactor.RestartStatistics,
	reason, message any,
) {
	defer func() {
		if r := recover(); r != nil {
			usercode.Log(func() {
				g.rt.logger.Error().Str("child", pidName(child)).Str("panic", usercode.PanicText(r)).Bytes("stack", debug.Stack()).
					Msg("an actor panicked when it was to decide about its child, which is stopped")
			})
			supervisor.StopChildren(child)
		}
	}()
	g.strategy.HandleFailure(system, supervisor, child, stats, reason, message)
}

// SendFence has f run in a turn of the actor at pid, behind the user messages that were sent to it before. It is how
// the sender of a message learns that the actor has finished with it, whatever became of its handler. f does not run if
// the actor stops first; it must not wait.
//
// Actors made from [Runtime.Props] do not see the message. Others get an opaque one, which they should ignore as any
// message that they do not know.
func (rt *Runtime) SendFence(pid *protoactor.PID, f func()) {
	if pid == nil || f == nil || rt.Check() != nil {
		return
	}
	rt.root.RequestWithCustomSender(pid, &fence{rt: rt, f: f}, rt.discard)
}

// fence travels as a user message: upstream calls GetAutoResponse, in the turn, after the actor had a look at it.
type fence struct {
	rt *Runtime
	f  func()
}

var (
	_ protoactor.AutoRespond             = (*fence)(nil)
	_ protoactor.IgnoreDeadLetterLogging = (*fence)(nil)
)

// GetAutoResponse implements protoactor.AutoRespond. The response goes to the discarding process.
func (m *fence) GetAutoResponse(protoactor.Context) any {
	if p := usercode.Do(m.f); p != nil {
		m.rt.logFunction("a function given to SendFence panicked", p)
	}
	return nil
}

// IgnoreDeadLetterLogging implements protoactor.IgnoreDeadLetterLogging: nobody misses a fence.
func (*fence) IgnoreDeadLetterLogging() {}

// Drop implements Droppable.
func (*fence) Drop(error) {}
