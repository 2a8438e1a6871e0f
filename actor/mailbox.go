package actor

import (
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/perspectivebroker/pb/internal/usercode"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// Mailbox is the queue of one actor. User messages are gathered in one slice
// while the actor works off another; system messages go first. It starts the actor's turn on the
// dispatcher when there is something to do and none is under way.
//
// A Mailbox may be posted to before its actor exists: make it, give it to the actor with protoactor.WithMailbox, and
// what came before comes first. An idle one holds a buffer of two messages at the most.
//
// Other than upstream's it keeps an actor that is stopping from being restarted, which
// would leave an instance that nobody can reach, and it does not lose
// what is queued when its actor stops: see Terminate. It does not support MessageBatch or mailbox middleware.
type Mailbox struct {
	invoker    protoactor.MessageInvoker // set by RegisterHandlers, before the first turn
	dispatcher protoactor.Dispatcher
	run        func() // m.turns, so that scheduling allocates nothing

	mu        sync.Mutex
	inbox     []any   // user messages in the order in which they came, behind those of batch
	urgent    *urgent // the last system message, in a ring
	taken     int32   // the length of batch
	started   bool    // turns may begin
	running   bool    // a turn is under way or scheduled
	suspended bool    // user messages wait until ResumeMailbox; written in the turn only

	// Owned by the turn.
	batch    []any
	stopping bool     // a Stop has been delivered
	idler    bool     // the actor may want to know that its queue is empty
	stirred  bool     // a user message was handled since it was last told
	after    *Mailbox // whose turn begins when this one is over, see PostFrom

	next atomic.Int32 // index in batch, written in the turn only
	rush atomic.Int32 // how many are urgent, so that the turn need not lock to see it
	dead atomic.Pointer[func(any)]
}

var _ protoactor.Mailbox = (*Mailbox)(nil)

// NewMailbox makes an empty mailbox.
func NewMailbox() *Mailbox {
	m := new(Mailbox)
	m.run = m.turns
	return m
}

func produceMailbox() protoactor.Mailbox { return NewMailbox() }

// PostUserMessage queues a message for the actor.
func (m *Mailbox) PostUserMessage(message any) {
	if m.post(message) {
		m.dispatcher.Schedule(m.run)
	}
}

// post queues a message, and reports whether the caller has to see to it that a turn begins.
func (m *Mailbox) post(message any) (begin bool) {
	m.mu.Lock()
	if len(m.inbox) == cap(m.inbox) {
		m.inbox = grown(m.inbox)
	}
	m.inbox = append(m.inbox, message)
	begin = m.started && !m.running && !m.suspended
	if begin {
		m.running = true
	}
	m.mu.Unlock()
	return begin
}

// PostSystemMessage queues a message of the actor system, which is handled before any user message.
func (m *Mailbox) PostSystemMessage(message any) {
	m.mu.Lock()
	m.urgent = m.urgent.push(message)
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

// RegisterHandlers tells the mailbox whom it serves. The actor system calls it, before Start.
func (m *Mailbox) RegisterHandlers(invoker protoactor.MessageInvoker, dispatcher protoactor.Dispatcher) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.invoker = invoker
	m.dispatcher = dispatcher
	if g := m.guard(); g != nil {
		m.idler = g.idler()
	}
}

// Start lets turns begin, with the first one if there is something queued already.
func (m *Mailbox) Start() {
	m.mu.Lock()
	m.started = true
	begin := m.dispatcher != nil && !m.running && (m.urgent != nil || len(m.inbox) > 0)
	if begin {
		m.running = true
	}
	m.mu.Unlock()
	if begin {
		m.dispatcher.Schedule(m.run)
	}
}

// Len returns how many user messages are queued; the one that is being handled does not count.
func (m *Mailbox) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.inbox) + int(m.taken-m.next.Load())
}

// UserMessageCount is Len, under the name that the actor system knows.
func (m *Mailbox) UserMessageCount() int { return m.Len() }

// Terminate is for when the actor has stopped for good, or could not be spawned: dead gets every user message that is
// still queued and every later one, in order, one at a time, in turns of the mailbox, and envelopes as they are.
// Continuations of Deferreds are failed instead. Watch is still answered, other system messages are dropped. The first
// call counts. Guarded actors terminate their mailbox themselves: see [Undertaker].
func (m *Mailbox) Terminate(dead func(message any)) {
	if !m.dead.CompareAndSwap(nil, &dead) {
		return
	}
	m.mu.Lock()
	if !m.started {
		// There is no actor and will be none. The turns need a place to run nevertheless, and not that of
		// whoever posts, who may hold locks.
		m.started = true
		m.dispatcher = protoactor.NewDefaultDispatcher(DefaultThroughput)
	}
	m.mu.Unlock()
	// A turn is needed for what is queued already, suspended or not.
	m.PostSystemMessage(&protoactor.ResumeMailbox{})
}

// guard returns the guard of the actor's present instance, nil if the actor is not one of ours.
func (m *Mailbox) guard() *guard {
	if of, ok := m.invoker.(interface{ Actor() protoactor.Actor }); ok {
		return guardOf(of.Actor())
	}
	return nil
}

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
				ctx.Logger().Error("a dead-letter handler panicked", "reason", usercode.PanicText(reason), "actor", ctx.Self())
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

// Lend queues a user message as PostUserMessage does, but if the actor has nothing to do it handles the message on the
// caller's own goroutine, before Lend returns: handing it to another one costs more than most messages do, since a
// processor that sleeps has to be woken for it. Only this one message is handled there. What arrives meanwhile, and
// whatever the actor system has to say, is left to the dispatcher.
//
// It is for actors that never wait and run nobody else's code, and for messages of which the caller can bear the
// consequences: whatever the actor calls while it handles this one, it calls on the caller's goroutine, with the locks
// that the caller holds.
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

// idleLocked says whether the actor waits for messages and has none.
func (m *Mailbox) idleLocked() bool {
	return m.started && !m.running && !m.suspended && !m.idler && m.dead.Load() == nil &&
		m.urgent == nil && len(m.inbox) == 0 && int(m.next.Load()) == len(m.batch)
}

// lent is the turn on the caller's goroutine.
func (m *Mailbox) lent(message any) {
	done := false
	defer func() {
		if !done {
			m.interrupted(recover(), message)
		}
		m.unchain()
		m.mu.Lock()
		m.running = m.urgent != nil || !m.suspended && len(m.inbox) > 0
		more := m.running
		m.mu.Unlock()
		if more {
			m.dispatcher.Schedule(m.run)
		}
	}()
	m.invoker.InvokeUserMessage(message)
	done = true
}

// PostFrom queues a user message as PostUserMessage does, but if the actor has nothing to do its turn begins when that
// of from is over, on the same goroutine: nobody has to be woken for it. It begins elsewhere, and at once, if from has
// another message to handle first. from may be nil; otherwise the caller must be in its turn, and about to end the
// handling of a message.
func (m *Mailbox) PostFrom(from *Mailbox, message any) {
	begin := m.post(message)
	switch {
	case !begin:
	case from == nil || from.after != nil:
		m.dispatcher.Schedule(m.run)
	default:
		from.after = m
	}
}

// unchain begins the turn of who would have come after this one.
func (m *Mailbox) unchain() {
	if next := m.after; next != nil {
		m.after = nil
		next.dispatcher.Schedule(next.run)
	}
}

// The sizes of a mailbox's buffers. One of the smallest stays with an idle mailbox;
// the others are borrowed while there is a crowd and beyond the largest they are ordinary
// slices, left to the collector.
const (
	smallBuffer  = 2
	middleBuffer = 64
	largeBuffer  = 1024
)

// The pools hold cleared buffers only. They are caches and nothing else, shared by the mailboxes of all runtimes.
var (
	middleBuffers = sync.Pool{New: func() any { return new([middleBuffer]any) }}
	largeBuffers  = sync.Pool{New: func() any { return new([largeBuffer]any) }}
)

// grown returns a larger buffer with the contents of the full one.
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

// retired returns what an idle mailbox keeps of its two empty buffers.
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

// giveBack returns a borrowed buffer, which must have been cleared.
func giveBack(b []any) {
	switch cap(b) {
	case middleBuffer:
		middleBuffers.Put((*[middleBuffer]any)(b[:middleBuffer]))
	case largeBuffer:
		largeBuffers.Put((*[largeBuffer]any)(b[:largeBuffer]))
	}
}
