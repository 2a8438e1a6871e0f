package actor

import (
	"runtime"

	"github.com/perspectivebroker/pb/internal/usercode"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// turns is what the dispatcher runs: a turn, and those that are to follow it on the same goroutine.
func (m *Mailbox) turns() {
	for m != nil {
		m = m.turn()
	}
}

// turn works until there is nothing more to do, and returns whose turn is next. It never runs twice at the same time.
func (m *Mailbox) turn() (next *Mailbox) {
	orderly := false
	defer func() {
		if !orderly {
			m.abandon()
		}
	}()
	for {
		over, next := m.work()
		if over {
			orderly = true
			return next
		}
	}
}

// abandon ends a turn whose goroutine is lost: a handler called runtime.Goexit, or a supervisor's strategy panicked,
// which goes on to the dispatcher. User messages are held until the supervisor has decided.
func (m *Mailbox) abandon() {
	m.unchain()
	m.mu.Lock()
	m.suspended = m.dead.Load() == nil
	m.running = m.urgent != nil || !m.suspended && len(m.inbox)+int(m.taken-m.next.Load()) > 0
	again := m.running
	m.mu.Unlock()
	if again {
		m.dispatcher.Schedule(m.run)
	}
}

// work handles messages until there are none, which it reports by true; from then on the turn is over and nothing of it
// may be touched; it also returns whose turn is next. It reports false after a panic in a handler, which it has passed
// to the supervisor.
func (m *Mailbox) work() (over bool, after *Mailbox) {
	var message any
	done := false
	defer func() {
		if !done {
			m.interrupted(recover(), message)
		}
	}()
	budget := m.dispatcher.Throughput()
	for {
		if m.rush.Load() > 0 {
			m.unchain()
			message = m.takeUrgent()
			m.handleSystem(message)
			continue
		}
		next := m.next.Load()
		if int(next) == len(m.batch) || m.suspended {
			// When refill finds that the turn is over the next one may begin at once.
			after, m.after = m.after, nil
			found := m.refill()
			if found != nothingToDo {
				m.after = after
			}
			switch found {
			case refilled:
			case ranEmpty:
				m.unchain()
				message = nil
				m.stirred = false
				m.tellIdle()
			case nothingToDo:
				done = true
				return true, after
			}
			continue
		}
		message = m.batch[next]
		m.batch[next] = nil
		m.next.Store(next + 1)
		m.unchain()
		if dead := m.dead.Load(); dead != nil {
			bury(message, *dead)
		} else {
			m.stirred = m.idler
			m.invoker.InvokeUserMessage(message)
		}
		if budget--; budget <= 0 {
			m.unchain()
			budget = m.dispatcher.Throughput()
			runtime.Gosched()
		}
	}
}

// interrupted deals with a handler that did not return: it panicked with reason, or it ended the goroutine.
func (m *Mailbox) interrupted(reason, message any) {
	if reason == nil {
		reason = ErrGoexit
		if m.goOnEnding() {
			return
		}
	}
	if m.dead.Load() != nil {
		// There is no instance left to decide about.
		if ctx, ok := m.invoker.(protoactor.Context); ok {
			usercode.Log(func() {
				ctx.Logger().
					Error("the actor's hook for undelivered messages panicked", "reason", usercode.PanicText(reason), "actor", ctx.Self())
			})
		}
		return
	}
	m.invoker.EscalateFailure(reason, message)
}

// refill's findings.
type found uint8

const (
	refilled    found = iota // there is something to do
	ranEmpty                 // the queue is empty, and the actor wants to know
	nothingToDo              // the turn is over
)

func (m *Mailbox) refill() found {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.urgent != nil {
		return refilled
	}
	if !m.suspended {
		if int(m.next.Load()) < len(m.batch) {
			return refilled
		}
		if len(m.inbox) > 0 {
			m.batch, m.inbox = m.inbox, m.batch[:0]
			m.taken = int32(len(m.batch))
			m.next.Store(0)
			return refilled
		}
		if m.stirred {
			return ranEmpty
		}
		m.batch = m.batch[:0]
		m.taken = 0
		m.next.Store(0)
		m.inbox, m.batch = retired(m.inbox, m.batch), nil
	}
	m.running = false
	return nothingToDo
}

func (m *Mailbox) takeUrgent() any {
	m.mu.Lock()
	defer m.mu.Unlock()
	var message any
	message, m.urgent = m.urgent.pop()
	m.rush.Add(-1)
	return message
}

func (m *Mailbox) handleSystem(message any) {
	dead := m.dead.Load() != nil
	switch message.(type) {
	case *protoactor.SuspendMailbox:
		m.suspend(!dead)
		return
	case *protoactor.ResumeMailbox:
		m.suspend(false)
		return
	case *protoactor.Watch, *protoactor.Unwatch:
	case *protoactor.Restart:
		// A supervisor that decided before it knew that the actor is
		// stopping. Upstream would make a new instance.
		if m.stopping || dead {
			return
		}
	case *protoactor.Stop:
		m.stopping = true
	default:
		if dead {
			return
		}
	}
	if m.invoker == nil {
		return // terminated before it had an actor
	}
	if _, ok := message.(goOn); ok {
		m.goOn()
	} else {
		m.invoker.InvokeSystemMessage(message)
	}
	if m.stopping && !dead {
		if g := m.guard(); g != nil && g.hasStopped() {
			m.Terminate(g.dead)
		}
	}
}

// goOn takes an actor up again that was ending when its handler ended the goroutine: upstream did not come to stop the
// children, or to tell the parent, who would wait for ever.
type goOn struct{}

// goOnEnding sees to an actor that was ending when its handler called runtime.Goexit, and reports whether it was.
func (m *Mailbox) goOnEnding() bool {
	g := m.guard()
	if g == nil || !g.isEnding() {
		return false
	}
	if ctx, ok := m.invoker.(protoactor.Context); ok {
		usercode.Log(func() {
			g.rt.logger.Error().Str("actor", pidName(ctx.Self())).Err(ErrGoexit).Msg("an actor that was ending goes on to do so")
		})
	}
	m.PostSystemMessage(goOn{})
	return true
}

// nobody is whose end an actor is told of to make it look whether all its children have ended. Its guard keeps that
// from the actor.
var nobody = &protoactor.PID{}

// goOn does in a turn of its own what upstream does behind the handler of Stopping, Restarting or Terminated.
func (m *Mailbox) goOn() {
	if ctx, ok := m.invoker.(protoactor.Context); ok {
		for _, child := range ctx.Children() {
			ctx.Stop(child)
		}
	}
	m.invoker.InvokeSystemMessage(&protoactor.Terminated{Who: nobody})
}

func (m *Mailbox) suspend(yes bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.suspended = yes
}

func (m *Mailbox) tellIdle() {
	if g := m.guard(); g != nil && m.dead.Load() == nil {
		g.idle(m.invoker.(protoactor.Context))
	}
}

// bury hands a message to dead, but a continuation to the Deferred that waits for it.
func bury(message any, dead func(any)) {
	if c, ok := protoactor.UnwrapEnvelopeMessage(message).(*continuation); ok {
		c.drop(ErrStopped)
		return
	}
	dead(message)
}
