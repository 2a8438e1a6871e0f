package actor

import (
	"math"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/perspectivebroker/pb/internal/usercode"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// Mailbox is the queue of one actor. It gathers user messages in one slice while the actor handles another. System
// messages are handled first. It schedules the actor's turn on the dispatcher when there is something to do and no turn
// is under way.
//
// Messages may be posted before the actor exists: make the mailbox, pass it to the actor with protoactor.WithMailbox,
// and they are handled first. An idle mailbox keeps a buffer for two messages at most.
//
// Unlike protoactor's mailbox, it does not let a stopping actor be restarted, which would leave an unreachable
// instance, and it does not lose the messages queued when its actor stops: see Terminate. It supports neither
// MessageBatch nor mailbox middleware.
type Mailbox struct {
	invoker    protoactor.MessageInvoker // set by RegisterHandlers, before the first turn
	dispatcher protoactor.Dispatcher
	run        func() // m.turn, bound once so that scheduling does not allocate
	measured   bool   // protoactor measures how long actors handle messages

	mu        sync.Mutex
	inbox     []any // user messages in order, after those of batch
	urgent    []any // system messages
	taken     int32 // the length of batch
	started   bool  // turns may begin
	running   bool  // a turn is under way or scheduled
	suspended bool  // user messages wait until ResumeMailbox; written in the turn only

	// Owned by the turn.
	batch    []any
	stopping bool // a Stop has been handled

	next atomic.Int32 // index in batch, written in the turn only
	rush atomic.Int32 // length of urgent, readable without the lock
	dead atomic.Pointer[func(any)]
}

var _ protoactor.Mailbox = (*Mailbox)(nil)

// NewMailbox returns an empty mailbox.
func NewMailbox() *Mailbox {
	m := new(Mailbox)
	m.run = m.turn
	return m
}

func produceMailbox() protoactor.Mailbox { return NewMailbox() }

// PostUserMessage queues a message for the actor.
func (m *Mailbox) PostUserMessage(message any) {
	if m.post(message) {
		m.dispatcher.Schedule(m.run)
	}
}

// post queues a message and reports whether the caller must schedule a turn.
func (m *Mailbox) post(message any) (begin bool) {
	m.mu.Lock()
	if t, ok := message.(Tokens); !ok || !m.addTokensLocked(t) {
		if len(m.inbox) == cap(m.inbox) {
			m.inbox = grown(m.inbox)
		}
		m.inbox = append(m.inbox, message)
	}
	begin = m.started && !m.running && !m.suspended
	if begin {
		m.running = true
	}
	m.mu.Unlock()
	return begin
}

// Tokens is a user message of an actor that has a queue of its own: it stands for so many messages there. The mailbox
// joins those between which nothing else was posted. So they keep their places among other messages, and a busy actor
// receives few of them.
type Tokens uint8

// addTokensLocked adds tokens to the last message, and reports whether it could. The caller holds m.mu.
func (m *Mailbox) addTokensLocked(more Tokens) bool {
	n := len(m.inbox)
	if n == 0 {
		return false
	}
	t, ok := m.inbox[n-1].(Tokens)
	if !ok || t > math.MaxUint8-more {
		return false
	}
	m.inbox[n-1] = t + more
	return true
}

// Unread queues Tokens that the actor has not used before all other user messages. The actor calls it at the end of its
// handler for Tokens, at most once. Anywhere else it has no effect, or another message is lost.
func (m *Mailbox) Unread(t Tokens) {
	next := m.next.Load() - 1
	if next < 0 {
		return
	}
	m.batch[next] = t
	m.next.Store(next)
}

// IsUrgent reports whether a system message waits. The actor then unreads its Tokens: system messages come first.
func (m *Mailbox) IsUrgent() bool { return m.rush.Load() > 0 }

// PostSystemMessage queues a message of the actor system, to be handled before any user message.
func (m *Mailbox) PostSystemMessage(message any) {
	m.mu.Lock()
	m.urgent = append(m.urgent, message)
	m.rush.Add(1)
	begin := m.started && !m.running
	if begin {
		m.running = true
	}
	m.mu.Unlock()
	if begin {
		m.dispatcher.Schedule(m.run)
	}
}

// RegisterHandlers sets the actor that the mailbox serves. The actor system calls it before Start.
func (m *Mailbox) RegisterHandlers(invoker protoactor.MessageInvoker, dispatcher protoactor.Dispatcher) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.invoker = invoker
	m.dispatcher = dispatcher
	if ctx, ok := invoker.(protoactor.Context); ok {
		m.measured = ctx.ActorSystem().Config.MetricsProvider != nil
	}
}

// Start allows turns to begin.
func (m *Mailbox) Start() {
	m.mu.Lock()
	m.started = true
	begin := m.dispatcher != nil && !m.running && (len(m.urgent) > 0 || len(m.inbox) > 0)
	if begin {
		m.running = true
	}
	m.mu.Unlock()
	if begin {
		m.dispatcher.Schedule(m.run)
	}
}

// Len returns the number of queued user messages, without the one that is being handled.
func (m *Mailbox) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.inbox) + int(m.taken-m.next.Load())
}

// UserMessageCount implements protoactor.Mailbox. It returns Len.
func (m *Mailbox) UserMessageCount() int { return m.Len() }

// Terminate is called when the actor has stopped or could not be spawned. From then on dead receives every user message
// that is still queued and every later one, in order, in turns of the mailbox, with its envelope. Continuations of
// Deferreds fail instead. Watch is still answered; other system messages are dropped. Only the first call has an
// effect. Guarded actors terminate their own mailbox: see [DeadLetterHandler].
func (m *Mailbox) Terminate(dead func(message any)) {
	if !m.dead.CompareAndSwap(nil, &dead) {
		return
	}
	m.mu.Lock()
	if !m.started {
		// No actor will ever start the mailbox. Its turns must not run on the senders' goroutines, which may hold
		// locks.
		m.started = true
		m.dispatcher = protoactor.NewDefaultDispatcher(DefaultThroughput)
	}
	m.mu.Unlock()
	// Start a turn for the queued messages, even if the mailbox is suspended.
	m.PostSystemMessage(&protoactor.ResumeMailbox{})
}

// guard returns the guard of the actor's current instance, or nil for an actor not made from Runtime.Props.
func (m *Mailbox) guard() *guard {
	if of, ok := m.invoker.(interface{ Actor() protoactor.Actor }); ok {
		return guardOf(of.Actor())
	}
	return nil
}

// turn handles messages until there are none. Two turns of a mailbox never overlap.
func (m *Mailbox) turn() {
	orderly := false
	defer func() {
		if !orderly {
			m.abandon()
		}
	}()
	for !m.work() {
	}
	orderly = true
}

// abandon ends a turn that lost its goroutine: a handler called runtime.Goexit, or a supervisor's strategy panicked,
// which the dispatcher logs. User messages wait until the supervisor has decided.
func (m *Mailbox) abandon() {
	m.mu.Lock()
	m.suspended = m.dead.Load() == nil
	m.running = len(m.urgent) > 0 || !m.suspended && len(m.inbox)+int(m.taken-m.next.Load()) > 0
	again := m.running
	m.mu.Unlock()
	if again {
		m.dispatcher.Schedule(m.run)
	}
}

// work handles messages until there are none and returns true; the turn is then over, and the caller must not touch its
// state. It returns false after a handler's panic, which it has reported to the supervisor.
func (m *Mailbox) work() (over bool) {
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
			message = m.takeUrgent()
			m.handleSystem(message)
			continue
		}
		next := m.next.Load()
		if int(next) == len(m.batch) || m.suspended {
			if !m.refill() {
				done = true
				return true
			}
			continue
		}
		message = m.batch[next]
		m.batch[next] = nil
		m.next.Store(next + 1)
		if t, ok := message.(Tokens); ok {
			budget -= int(t) - 1
		}
		if dead := m.dead.Load(); dead != nil {
			deadLetter(message, *dead)
		} else {
			m.invoker.InvokeUserMessage(message)
		}
		if budget--; budget <= 0 {
			budget = m.dispatcher.Throughput()
			runtime.Gosched()
		}
	}
}

// interrupted handles a handler that did not return: it panicked with reason, or it called runtime.Goexit.
func (m *Mailbox) interrupted(reason, message any) {
	if reason == nil {
		reason = ErrGoexit
		if m.goOnEnding() {
			return
		}
	}
	if m.dead.Load() != nil {
		// No instance is left for the supervisor.
		if ctx, ok := m.invoker.(protoactor.Context); ok {
			usercode.Log(func() {
				ctx.Logger().
					Error("a dead-letter handler panicked", "reason", usercode.PanicText(reason), "actor", ctx.Self())
			})
		}
		return
	}
	m.invoker.EscalateFailure(reason, message)
}

// refill reports whether there is something to do. If not, the turn is over.
func (m *Mailbox) refill() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.urgent) > 0 {
		return true
	}
	if !m.suspended {
		if int(m.next.Load()) < len(m.batch) {
			return true
		}
		if len(m.inbox) > 0 {
			m.batch, m.inbox = m.inbox, m.batch[:0]
			m.taken = int32(len(m.batch))
			m.next.Store(0)
			return true
		}
		m.batch = m.batch[:0]
		m.taken = 0
		m.next.Store(0)
		m.inbox, m.batch = retired(m.inbox, m.batch), nil
	}
	m.running = false
	return false
}

func (m *Mailbox) takeUrgent() any {
	m.mu.Lock()
	defer m.mu.Unlock()
	message := m.urgent[0]
	m.urgent[0] = nil
	if m.urgent = m.urgent[1:]; len(m.urgent) == 0 {
		m.urgent = nil // System messages are rare, so an idle mailbox keeps no room for them.
	}
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
		// The supervisor did not know that the actor is stopping. protoactor would make a new instance.
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
		if g := m.guard(); g != nil && g.self != nil {
			m.Terminate(g.dead)
		}
	}
}

// goOn resumes the stop of an actor whose handler called runtime.Goexit. protoactor could not stop the children or
// notify the parent, which would wait forever.
type goOn struct{}

// goOnEnding resumes the stop of an actor whose handler called runtime.Goexit. It reports whether the actor was
// stopping.
func (m *Mailbox) goOnEnding() bool {
	g := m.guard()
	if g == nil || !g.ending {
		return false
	}
	if ctx, ok := m.invoker.(protoactor.Context); ok {
		usercode.Log(func() {
			g.rt.logger.Error().Str("actor", pidName(ctx.Self())).Err(ErrGoexit).
				Msg("a stopping actor called runtime.Goexit; it goes on stopping")
		})
	}
	m.PostSystemMessage(goOn{})
	return true
}

// nobody is sent in a Terminated message, to make an actor check whether all its children have stopped. The guard hides
// it from the actor.
var nobody = &protoactor.PID{}

// goOn does what protoactor does after the handler of Stopping, Restarting or Terminated.
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

// deadLetter passes a message to dead, or fails it if it is a continuation.
func deadLetter(message any, dead func(any)) {
	if c, ok := protoactor.UnwrapEnvelopeMessage(message).(*continuation); ok {
		c.drop(ErrStopped)
		return
	}
	dead(message)
}

// Lend queues a user message like PostUserMessage, but if the actor is idle it handles the message on the caller's
// goroutine before it returns. Waking another goroutine costs more than handling most messages. Only this message is
// handled on the caller's goroutine; later ones and system messages are left to the dispatcher. A guarded actor that is
// a [LentReceiver] gets it in a shorter way.
//
// Lend is for actors that never block and run no user code. The handler runs with the caller's locks held, and so does
// everything that it calls.
func (m *Mailbox) Lend(message any) {
	m.mu.Lock()
	if !m.idleLocked() {
		m.mu.Unlock()
		m.PostUserMessage(message)
		return
	}
	m.running = true
	m.mu.Unlock()
	m.lent(message)
}

// idleLocked reports whether the actor is idle. The caller holds m.mu.
func (m *Mailbox) idleLocked() bool {
	return m.started && !m.running && !m.suspended && m.dead.Load() == nil &&
		len(m.urgent) == 0 && len(m.inbox) == 0 && int(m.next.Load()) == len(m.batch)
}

// lent is a turn on the caller's goroutine.
func (m *Mailbox) lent(message any) {
	done := false
	defer func() {
		if !done {
			m.interrupted(recover(), message)
		}
		m.mu.Lock()
		m.running = len(m.urgent) > 0 || !m.suspended && len(m.inbox) > 0
		more := m.running
		m.mu.Unlock()
		if more {
			m.dispatcher.Schedule(m.run)
		}
	}()
	if !m.receiveLent(message) {
		m.invoker.InvokeUserMessage(message)
	}
	done = true
}

// receiveLent hands a message to the actor's ReceiveLent and reports whether that handled it.
func (m *Mailbox) receiveLent(message any) bool {
	ctx, ok := m.invoker.(protoactor.Context)
	g := m.guard()
	if m.measured || !ok || g == nil {
		return false
	}
	inner, ok := g.inner.(LentReceiver)
	return ok && g.receiveLent(inner, ctx, message)
}

// The sizes of a mailbox's buffers. An idle mailbox keeps one of the smallest. Larger ones come from pools while many
// messages wait. Beyond the largest size they are ordinary slices.
const (
	smallBuffer  = 2
	middleBuffer = 64
	largeBuffer  = 1024
)

// The pools hold cleared buffers. All runtimes share them.
var (
	middleBuffers = sync.Pool{New: func() any { return new([middleBuffer]any) }}
	largeBuffers  = sync.Pool{New: func() any { return new([largeBuffer]any) }}
)

// grown returns a larger buffer with the contents of full.
func grown(full []any) []any {
	var larger []any
	switch n := cap(full); {
	case n == 0:
		return make([]any, 0, smallBuffer)
	case n < middleBuffer:
		larger = middleBuffers.Get().(*[middleBuffer]any)[:0]
	case n < largeBuffer:
		larger = largeBuffers.Get().(*[largeBuffer]any)[:0]
	default:
		larger = make([]any, 0, 2*n)
	}
	larger = append(larger, full...)
	clear(full)
	giveBack(full)
	return larger
}

// retired returns the buffer that an idle mailbox keeps of its two empty ones.
func retired(a, b []any) []any {
	giveBack(a)
	giveBack(b)
	switch {
	case cap(a) == smallBuffer:
		return a
	case cap(b) == smallBuffer:
		return b
	}
	return nil
}

// giveBack returns a cleared buffer to its pool.
func giveBack(b []any) {
	switch cap(b) {
	case middleBuffer:
		middleBuffers.Put((*[middleBuffer]any)(b[:middleBuffer]))
	case largeBuffer:
		largeBuffers.Put((*[largeBuffer]any)(b[:largeBuffer]))
	}
}
