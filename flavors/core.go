package flavors

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/internal/seam"
	"github.com/perspectivebroker/pb/internal/usercode"
	"github.com/perspectivebroker/pb/supervision"
	"github.com/rs/zerolog"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

var errNoFunction = errors.New("flavors: a nil function was given to be run")

// remoteCopy is a value that follows an original of the peer's: one with a [RemoteCache].
type remoteCopy interface{ freshness() *cacheTimes }

// coreState is the state of a core's actor.
type coreState uint8

const (
	coreIdle    coreState = iota // no actor: never sent, or ended because no peer holds the object
	coreRunning                  // held: an actor runs, starts, or will start with the first message
	coreStopped                  // the actor stopped for good while peers held the object
)

// parking is the parked calls of one connection, and the messages that must not overtake them. It outlives restarts of
// the object.
type parking struct {
	conn    seam.Conn
	waiting []any // of *Invocation and *turn; guarded by the core's lock
}

// anchor ties a struct to its core. All flavors that are actors embed it.
type anchor struct{ core atomic.Pointer[objectCore] }

func (a *anchor) anchored() *anchor { return a }

// anchored is implemented by pointers to structs that embed such a flavor.
type anchored interface {
	anchored() *anchor
	branch() supervision.Branch
	prefix() Prefix
}

// coreMade returns the anchor's core, which the first call makes.
func (a *anchor) coreMade() *objectCore {
	if c := a.core.Load(); c != nil {
		return c
	}
	a.core.CompareAndSwap(nil, &objectCore{anchor: a})
	return a.core.Load()
}

// objectCore connects the user's struct, its actor and the tables of the connections. A value keeps one core for its
// whole life, however many actors it has in turn. So nothing is lost if a peer is sent the object while its last actor
// ends. objectCore implements seam.Core.
//
// Most objects are given out and never called, so the core has only what these need. The rest is in active.
type objectCore struct {
	forward *Forwarder                    // the value, if it is one; written before the first call
	anchor  *anchor                       // immutable
	rt      atomic.Pointer[actor.Runtime] // written under mu
	met     atomic.Bool                   // the value is known: avoids the lock

	state   coreState // guarded by mu, as all that follows
	branch  supervision.Branch
	wasHeld bool          // holders was positive once
	owned   bool          // spawned by the application: outlives every peer
	holders int32         // entries in exports tables
	shown   int32         // listeners that publish it
	value   any           // nil before the first send: a Do does not set it
	produce func() any    // nil if there is no producer
	active  *coreActivity // nil before the first message, Do, actor or observer; then kept
	mu      sync.Mutex
}

// coreActivity is the part of a core that serves its actor. The core's lock guards what is not said to be otherwise.
type coreActivity struct {
	pid       *protoactor.PID
	mailbox   *actor.Mailbox // nil before the first message
	spawned   bool           // an actor for mailbox has been requested
	broken    bool           // a method panicked and the value has not been repaired since
	repairing bool           // a repair has been tried since
	inline    bool           // a Do runs without an actor …
	early     bool           // the actor was started meanwhile; its mailbox is suspended until the Do ends
	waiting   []*turn        // for the end of that Do
	inFlight  int32          // messages in the queue, parked or in work
	tokens    int            // in the mailbox: at least one for each message in queue
	queue     queue          // what waits for the object's turn

	turns   uint64 // messages that were taken from the queue
	working string // the method that runs, for turnWatch; empty if there is none
	watch   turnWatchEntry

	// observers hold the Cacheable. They change in the original's turn, or when it will have no turn any more. A slice
	// that was given out is never written to.
	observers []*Observer

	// incarnation counts the starts of the object's actors. It is written in the object's turn only.
	incarnation atomic.Uint64

	rare *coreRarity // nil until it is needed
}

// coreRarity is what few active cores need. The core's lock guards what is not said to be otherwise.
type coreRarity struct {
	born chan struct{} // closed when an actor that was started during a Do runs, or cannot
	// parked holds the calls of peers that do not read.
	parked map[seam.Conn]*parking

	// restarts counts the incarnations after a panic.
	restarts atomic.Uint64
	panics   panicCount // that were logged
	updates  panicCount // failed updates of a copy that were logged
}

// activeLocked returns the core's activity, which the first call makes.
func (c *objectCore) activeLocked() *coreActivity {
	if c.active == nil {
		c.active = new(coreActivity)
	}
	return c.active
}

// rareLocked returns the rare part of the core's activity, which the first call makes.
func (c *objectCore) rareLocked() *coreRarity {
	a := c.activeLocked()
	if a.rare == nil {
		a.rare = new(coreRarity)
	}
	return a.rare
}

// rarity is rareLocked for callers without the lock.
func (c *objectCore) rarity() *coreRarity {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rareLocked()
}

// parkedLocked returns the parked calls of a connection, nil if there are none.
func (c *objectCore) parkedLocked(conn seam.Conn) *parking {
	if c.active == nil || c.active.rare == nil {
		return nil
	}
	return c.active.rare.parked[conn]
}

// String names the object in logs.
func (c *objectCore) String() string { return c.typeName() }

// Value returns the user's struct, which a peer gets back when it sends the reference home.
func (c *objectCore) Value() any {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.value
}

// Hold implements seam.Core. The first message starts the actor, not Hold: many objects are given out and never called.
func (c *objectCore) Hold(rt *actor.Runtime) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.holders++
	c.wasHeld = true
	c.startLocked(rt)
}

// UsableIn implements seam.Core. An actor belongs to one runtime. The object is in use there if peers hold it, a
// listener publishes it or the application has spawned it.
func (c *objectCore) UsableIn(rt *actor.Runtime) error {
	if home := c.rt.Load(); home == nil || home == rt {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.usableInLocked(rt)
}

func (c *objectCore) usableInLocked(rt *actor.Runtime) error {
	if home := c.rt.Load(); home == nil || home == rt || c.state == coreIdle && c.shown == 0 && !c.owned {
		return nil
	}
	return fmt.Errorf(
		"flavors: this %T is in use in another Runtime; "+
			"give each Runtime an object of its own, or close the other one first",
		c.value,
	)
}

// Publish implements seam.Core. An object whose actor the application has stopped starts anew.
func (c *objectCore) Publish(rt *actor.Runtime) (withdraw func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.usableInLocked(rt); err != nil {
		return nil, err
	}
	if c.state == coreStopped {
		c.idleLocked()
		if c.holders > 0 {
			c.startLocked(rt)
		}
	}
	if c.state == coreIdle {
		c.rt.Store(rt)
	}
	c.shown++
	return sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.shown--
	}), nil
}

// Release implements seam.Core. After the last one the actor ends, once it has handled what it was sent.
func (c *objectCore) Release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.holders--
	if c.holders < 0 {
		panic("flavors: a core was released more often than held")
	}
	if c.holders > 0 || c.owned {
		return
	}
	switch c.state {
	case coreRunning:
		if c.active == nil || c.active.mailbox == nil {
			c.idleLocked()
			return
		}
		// The actor decides in its own turn, behind everything that was sent before.
		c.postLocked(checkIdle{})
	case coreStopped:
		// No peer holds the stopped object. When it is sent again, it starts anew.
		c.idleLocked()
	}
}

// idleLocked drops the actor, if there is one.
func (c *objectCore) idleLocked() {
	c.state = coreIdle
	if a := c.active; a != nil {
		a.mailbox, a.pid, a.spawned, a.tokens = nil, nil, false, 0
		a.working = ""
		c.unwatchTurns()
	}
}

func (c *objectCore) post(message any) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != coreRunning {
		return stoppedError(c.value)
	}
	c.postLocked(message)
	return nil
}

func (c *objectCore) postLocked(message any) {
	a := c.activeLocked()
	a.inFlight++
	if a.mailbox == nil {
		a.mailbox = actor.NewMailbox()
	}
	a.queue.push(message)
	if a.tokens < a.queue.len() {
		a.tokens++
		a.mailbox.PostUserMessage(work)
	}
	c.spawnLocked()
}

// startLocked lets messages in, unless the core has stopped for good.
func (c *objectCore) startLocked(rt *actor.Runtime) {
	if c.state == coreIdle {
		c.rt.Store(rt)
		c.state = coreRunning
	}
}

// spawnLocked starts an actor if there are messages, but not while a Do runs without one. The supervisor of objects
// starts it in its own turn; messages wait in the mailbox meanwhile.
func (c *objectCore) spawnLocked() {
	if c.active != nil && !c.active.inline {
		c.spawnNowLocked()
	}
}

func (c *objectCore) spawnNowLocked() {
	a := c.active
	if a.spawned || a.mailbox == nil || c.state != coreRunning {
		return
	}
	a.spawned = true
	mailbox := a.mailbox
	again := false
	ref := &coreRef{core: c}
	rt := c.rt.Load()
	props := rt.Props(
		func() protoactor.Actor {
			o := &object{core: ref.core, mailbox: mailbox, again: again, ref: ref}
			again = true
			return o
		},
		protoactor.WithMailbox(func() protoactor.Mailbox { return mailbox }),
	)
	supervision.TreeOf(rt).SpawnAsync(c.branch, props, typeName(c.value), func(_ *protoactor.PID, err error) {
		if err != nil {
			// A closing tree refuses before SpawnAsync returns, which is under the lock.
			go func() {
				left := c.stopped(mailbox)
				mailbox.PostUserMessage(work) // Drops them, even if there are too few tokens.
				mailbox.Terminate((&object{mailbox: mailbox, left: left, gone: c.stoppedError()}).Undelivered)
			}()
		}
	})
}

// started is called first in each incarnation, in the object's turn.
func (c *objectCore) started(mailbox *actor.Mailbox, self *protoactor.PID) {
	c.active.incarnation.Add(1) // There is a mailbox, so there is an activity.
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.active.mailbox == mailbox {
		c.active.pid = self
		c.bornLocked()
		c.watchTurns()
	}
}

// spawnEarlyLocked starts the actor while a Do runs without one. Messages to the actor wait for the Do. The channel is
// closed when the actor has started, or cannot.
func (c *objectCore) spawnEarlyLocked() (born <-chan struct{}) {
	a, r := c.active, c.rareLocked()
	if r.born == nil {
		r.born = make(chan struct{})
	}
	if !a.spawned {
		if a.mailbox == nil {
			a.mailbox = actor.NewMailbox()
		}
		a.early = true
		a.mailbox.PostSystemMessage(&protoactor.SuspendMailbox{})
		c.spawnNowLocked()
	}
	return r.born
}

func (c *objectCore) bornLocked() {
	if r := c.active.rare; r != nil && r.born != nil {
		close(r.born)
		r.born = nil
	}
}

// inlineOverLocked resumes an actor that has waited for a Do, or starts one if messages have come meanwhile.
func (c *objectCore) inlineOverLocked() {
	a := c.active
	a.inline, a.waiting = false, nil
	if a.early {
		a.early = false
		if a.mailbox != nil { // or the actor could not be spawned
			a.mailbox.PostSystemMessage(&protoactor.ResumeMailbox{})
		}
	}
	c.spawnLocked()
}

// settleLocked is called in the object's turn after each message. It reports whether the actor must stop, because no
// one holds the object and no messages wait. The core has dropped the actor then, which must not use the user's value
// any more.
func (c *objectCore) settleLocked(mailbox *actor.Mailbox) (end bool) {
	a := c.active
	a.inFlight--
	a.working = ""
	if a.mailbox != mailbox || c.holders > 0 || c.owned || a.inFlight > 0 {
		return false
	}
	c.idleLocked()
	return true
}

func (c *objectCore) settle(mailbox *actor.Mailbox) (end bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.settleLocked(mailbox)
}

// settleAndTake is settle and then take, unless the actor must stop.
func (c *objectCore) settleAndTake(mailbox *actor.Mailbox) (message any, end bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.settleLocked(mailbox) {
		return nil, true
	}
	return c.takeLocked(mailbox), false
}

// settleLater counts a message whose method panicked. Whether the actor must stop is decided after the supervisor's
// decision.
func (c *objectCore) settleLater(mailbox *actor.Mailbox) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.active
	if a.mailbox != mailbox {
		return
	}
	a.broken, a.repairing = true, false
	a.inFlight--
	a.working = ""
	if c.holders == 0 && !c.owned && a.inFlight == 0 {
		c.postLocked(checkIdle{})
	}
}

// beginRepair reports whether this is the first attempt to repair the value since it broke.
func (c *objectCore) beginRepair() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := !c.active.repairing
	c.active.repairing = true
	return first
}

// isBroken reports whether the value must be repaired before its next call, and whether an attempt has been made.
func (c *objectCore) isBroken() (broken, repairing bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.active.broken, c.active.repairing
}

// producer returns the function that makes fresh instances; nil if the object has none.
func (c *objectCore) producer() func() any {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.produce
}

func (c *objectCore) runtime() *actor.Runtime { return c.rt.Load() }

func (c *objectCore) logger() *zerolog.Logger { return c.runtime().Logger() }

// repaired notes that the value is good again, or replaced by a fresh one.
func (c *objectCore) repaired(fresh any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.active.broken, c.active.repairing = false, false
	if fresh != nil {
		c.value = fresh
	}
}

// stopped is called when the actor behind mailbox has stopped, or could not be started. Later calls are refused. It
// returns the messages that waited, which must be dropped.
func (c *objectCore) stopped(mailbox *actor.Mailbox) (left []any) {
	c.mu.Lock()
	if a := c.active; a.mailbox == mailbox && c.state == coreRunning {
		left = a.queue.all()
		if r := a.rare; r != nil {
			for _, p := range r.parked {
				left = append(left, p.waiting...)
				p.waiting = nil
			}
			r.parked = nil
		}
		c.state = coreStopped
		a.working = ""
		c.unwatchTurns()
		c.bornLocked()
		a.inFlight = 0
		c.owned = false
		a.pid = nil
		a.observers = nil // They get no more updates.
		if r, ok := c.value.(remoteCopy); ok {
			r.freshness().stop(c.rt.Load(), stoppedError(c.value))
		}
		if c.holders == 0 {
			c.idleLocked()
		}
	}
	c.mu.Unlock()
	return left
}

func (c *objectCore) stoppedError() error { return stoppedError(c.Value()) }

func stoppedError(value any) error {
	return ErrObjectStopped.New("the object has stopped: " + typeName(value))
}

func (c *objectCore) typeName() string { return typeName(c.Value()) }

// typeName returns the name of the struct's type without its package, for logs and PIDs.
func typeName(v any) string {
	t := reflect.TypeOf(v)
	if t == nil {
		return "object"
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Name() == "" {
		return "object"
	}
	return t.Name()
}

// logPanic logs a panic of user code that belongs to an object. A caller that panics again with p does not log it
// again.
func (c *objectCore) logPanic(log *zerolog.Logger, p *PanicError, fields ...func(*zerolog.Event)) {
	limit := supervision.TreeOf(c.runtime()).ObjectLimit()
	level, last := c.rarity().panics.level(limit)
	usercode.Log(func() {
		e := log.WithLevel(level).Str("object", c.typeName())
		for _, f := range fields {
			f(e)
		}
		e.Str("panic", usercode.PanicText(p.Value)).Bytes("stack", p.Stack).Msg(p.What + " panicked")
	})
	if last {
		usercode.Log(func() {
			log.Warn().Str("object", c.typeName()).Dur("within", limit.Within).
				Msg("this object panics often; further panics within this time are logged at the debug level")
		})
	}
}

// stale marks the value as stale if it is a copy.
func (c *objectCore) stale(cause error) {
	if r, ok := c.Value().(remoteCopy); ok {
		r.freshness().stop(c.runtime(), cause)
	}
}

// updated records the time of an update, in the copy's turn.
func (c *objectCore) updated() {
	if r, ok := c.Value().(remoteCopy); ok {
		r.freshness().updated.Store(time.Now().UnixNano())
	}
}

// checkIdle makes the object's actor check whether it is still needed.
type checkIdle struct{}
