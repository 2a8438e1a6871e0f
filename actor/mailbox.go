package actor

import (
	"sync"
	"sync/atomic"

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
