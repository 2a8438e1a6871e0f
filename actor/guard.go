package actor

import (
	"runtime/debug"

	"github.com/perspectivebroker/pb/internal/usercode"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// DeadLetterHandler is implemented by guarded actors that handle the messages left when they have stopped. Undelivered
// is called with every message that was queued and every later one, in order. It must answer those that a sender waits
// for. If an actor is no DeadLetterHandler, [Droppable] messages are dropped and all others become dead letters.
type DeadLetterHandler interface {
	Undelivered(message any)
}

// Droppable is implemented by messages that need to know that they will not be handled.
type Droppable interface {
	Drop(reason error)
}

// Failable is implemented by messages that need to know that their handler panicked, for example to answer the sender.
// Failed is called in the actor's turn, before the supervisor decides.
type Failable interface {
	Failed(reason *PanicError)
}

// Entrant is implemented by messages that may become void while they are queued. Enter is called in the actor's turn,
// and the message is handled only if it returns true. Leave is called after that.
type Entrant interface {
	Enter() bool
	Leave()
}

// LentReceiver is implemented by guarded actors that [Mailbox.Lend] hands messages to without the context's state for a
// message. That is shorter, and touches less memory.
type LentReceiver interface {
	// ReceiveLent handles a message as Receive does, or returns false and does nothing. Then Receive gets the message. It
	// must return false for an [Entrant] and for what protoactor answers by itself (AutoRespond, PoisonPill). ctx has no
	// message and no sender. Receiver middleware, context decorators and receive timeouts do not know of it. Where
	// protoactor measures messages, Receive gets all of them.
	ReceiveLent(ctx protoactor.Context, message any) (handled bool)
}

// Inner returns the actor inside a guard, and any other actor unchanged. Use it on the result of protoactor.Context's
// Actor method.
func Inner(a protoactor.Actor) protoactor.Actor {
	if g := guardOf(a); g != nil {
		return g.inner
	}
	return a
}

// guard wraps an instance of an actor. It is small, because every instance has one.
type guard struct {
	rt    *Runtime
	inner protoactor.Actor

	// Owned by the actor's turn.
	self   *protoactor.PID // set when Stopped was received
	ending bool            // Stopping or Restarting was received
}

// decidingGuard wraps an actor that is its own supervisor strategy. protoactor looks for that method.
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

// Receive passes the message to the actor and recovers panics that would keep it from stopping.
func (g *guard) Receive(ctx protoactor.Context) {
	switch m := ctx.Message().(type) {
	case *continuation, *fence:
		return // protoactor calls its GetAutoResponse next
	case *protoactor.Stopping, *protoactor.Restarting:
		g.ending = true
	case *protoactor.Terminated:
		if m.Who == nobody {
			return
		}
	case *protoactor.Stopped:
		if g.self != nil {
			return // The actor has received it before, and called runtime.Goexit.
		}
		g.ending = true
		g.self = ctx.Self()
		defer forgetProcess(g.self)
	case Entrant:
		if !m.Enter() {
			return
		}
		defer m.Leave()
	}
	defer g.recovered(ctx, nil)
	g.inner.Receive(ctx)
}

// receiveLent passes a message to the actor as Receive does.
func (g *guard) receiveLent(inner LentReceiver, ctx protoactor.Context, message any) bool {
	defer g.recovered(ctx, message)
	return inner.ReceiveLent(ctx, message)
}

// recovered logs a panic and rethrows it for the supervisor. If the actor is stopping, it does not rethrow: a decision
// would come too late, and the parent would wait forever. message is nil if it is the context's.
func (g *guard) recovered(ctx protoactor.Context, message any) {
	r := recover()
	if r == nil {
		return
	}
	if message == nil {
		message = ctx.Message()
	}
	logged, ok := r.(*PanicError)
	if ok {
		r = logged.Value
	} else {
		logged = &PanicError{What: "the handler of an actor", Value: r, Stack: debug.Stack()}
		g.rt.logPanic("an actor's handler panicked", r, logged.Stack, ctx.Self(), message)
	}
	if m, ok := message.(Failable); ok {
		m.Failed(logged)
	}
	if !g.ending {
		panic(r) //nolint:forbidigo // rethrown for the supervisor
	}
}

func (rt *Runtime) logPanic(what string, r any, stack []byte, self *protoactor.PID, message any) {
	usercode.Log(func() {
		rt.logger.Error().Str("actor", pidName(self)).Type("on", message).
			Str("panic", usercode.PanicText(r)).Bytes("stack", stack).Msg(what)
	})
}

// dead handles a message that is left in the mailbox of a stopped actor.
func (g *guard) dead(message any) {
	if u, ok := g.inner.(DeadLetterHandler); ok {
		u.Undelivered(message)
		return
	}
	switch m := protoactor.UnwrapEnvelopeMessage(message).(type) {
	case Droppable:
		m.Drop(ErrStopped)
	case *protoactor.PoisonPill:
	default:
		g.rt.system.DeadLetter.SendUserMessage(g.self, message)
	}
}

// HandleFailure calls the actor's own strategy. If that panics, the child is stopped.
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
					Msg("an actor panicked in HandleFailure; the child is stopped")
			})
			supervisor.StopChildren(child)
		}
	}()
	g.strategy.HandleFailure(system, supervisor, child, stats, reason, message)
}

// SendFence runs f in a turn of the actor at pid, after the user messages that were sent to it before. The sender of a
// message learns from it that the actor has finished with the message. f does not run if the actor stops first. It must
// not block.
//
// Actors made from [Runtime.Props] do not see the message. Others receive an opaque one, which they should ignore like
// any unknown message.
func (rt *Runtime) SendFence(pid *protoactor.PID, f func()) {
	if pid == nil || f == nil || rt.Check() != nil {
		return
	}
	rt.root.RequestWithCustomSender(pid, &fence{rt: rt, f: f}, rt.discard)
}

// fence is sent as a user message. protoactor calls GetAutoResponse in the turn, after the actor has received it.
type fence struct {
	rt *Runtime
	f  func()
}

var (
	_ protoactor.AutoRespond             = (*fence)(nil)
	_ protoactor.IgnoreDeadLetterLogging = (*fence)(nil)
)

// GetAutoResponse implements protoactor.AutoRespond. The response is discarded.
func (m *fence) GetAutoResponse(protoactor.Context) any {
	if p := usercode.Do(m.f); p != nil {
		m.rt.logFunction("a SendFence function panicked", p)
	}
	return nil
}

// IgnoreDeadLetterLogging implements protoactor.IgnoreDeadLetterLogging.
func (*fence) IgnoreDeadLetterLogging() {}

// Drop implements Droppable.
func (*fence) Drop(error) {}
