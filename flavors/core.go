package flavors

import (
	"fmt"
	"github.com/perspectivebroker/pb/internal/seam"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/rs/zerolog"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/supervision"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// ErrObjectStopped fails a call whose object has stopped for good, because the application stopped its actor or the
// runtime closes. Failures of an object's own code never stop it. errors.Is recognises it at the caller's end of a
// connection too.
var ErrObjectStopped = NewException("perspectivebroker.ObjectStopped", PBError)

// coreState says whether a core has an actor.
type coreState uint8

const (
	coreIdle    coreState = iota // no actor: never sent, or ended because nobody holds it
	coreRunning                  // held: an actor is running, being spawned, or will be for the first message
	coreStopped                  // the actor stopped for good while peers held the object
)

// Core is where the user's struct, its actor and the tables of the connections meet. A value has one core as long as it
// lives, whatever becomes of its actors, so nothing is lost between an actor that is ending and a peer that has just
// been sent the object.
//
// Package broker holds cores in its tables; applications have no need of them.
type objectCore struct {
	forward *Forwarder                    // the value, if it is one; written before anybody can call it
	anchor  *anchor                       // immutable
	met     atomic.Bool                   // the value is known, so that most who ask need no lock
	home    atomic.Pointer[actor.Runtime] // rt, so that most who send the object need no lock

	mu sync.Mutex
	// Guarded by mu.
	state    coreState
	rt       *actor.Runtime
	value    any // nil before the first send: a Do does not know it
	branch   supervision.Branch
	produce  func() any // nil for a value that was given rather than made
	pid      *protoactor.PID
	mailbox  *actor.Mailbox // nil before the first message
	spawned  bool           // the actor behind mailbox has been asked for
	holders  int            // entries in exports tables
	shown    int            // listeners that publish it
	wasHeld  bool           // there has been one
	inFlight int            // messages in the queue, parked or in work
	owned    bool           // spawned by the application: outlives every peer
	broken   bool           // a method panicked and the value has not been made good since
	mending  bool           // making it good has been tried since it broke
	inline   bool           // a Do runs without an actor at this moment …
	waiting  []*turn        // … and these wait for it
	early    bool           // the actor was spawned during it, and its mailbox is suspended until it is over
	born     chan struct{}  // closed when that actor has started, or cannot

	// observers are those who hold a Cacheable. They change in the original's turn, or when there will be no turn any
	// more. What was handed out is not written to.
	observers []*Observer

	panics  panicCount // what its code has put into the log
	updates panicCount // likewise, updates of a copy that could not be applied

	queue  queue // what waits for the object's turn
	tokens int   // of it, in the mailbox: at least one for each message
	// parked are calls of peers that do not read.
	parked map[seam.Conn]*parking

	// incarnation counts the starts of the object's actors; written in the object's turn only.
	incarnation atomic.Uint64
}

// String names the object in logs.
func (c *objectCore) String() string { return c.typeName() }

// Value is the user's struct: what a peer gets back when it sends the reference home.
func (c *objectCore) Value() any {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.value
}

// Hold notes that one more table has the object. From now on it takes messages; the first of them gives it its actor,
// since many objects are handed out and never called.
func (c *objectCore) Hold(rt *actor.Runtime) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.holders++
	c.wasHeld = true
	c.startLocked(rt)
}

// UsableIn says why the object cannot be given out by a runtime: it lives in another one, where peers hold it, a
// listener publishes it or the application has spawned it. Its actor can be in one of them only.
func (c *objectCore) UsableIn(rt *actor.Runtime) error {
	if home := c.home.Load(); home == nil || home == rt {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.usableInLocked(rt)
}

func (c *objectCore) usableInLocked(rt *actor.Runtime) error {
	if c.rt == nil || c.rt == rt || c.state == coreIdle && c.shown == 0 && !c.owned {
		return nil
	}
	return fmt.Errorf(
		"flavors: this %T is in use in another Runtime; give each Runtime an object of its own, or close the other one first",
		c.value,
	)
}

// Publish notes that a listener shows the object to everybody who connects, until withdraw is called. An object whose
// actor the application had stopped begins anew.
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
		c.settleInLocked(rt)
	}
	c.shown++
	return sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.shown--
	}), nil
}

func (c *objectCore) settleInLocked(rt *actor.Runtime) {
	c.rt = rt
	c.home.Store(rt)
}

// Release undoes one Hold. When it was the last and the application has not spawned the object itself, its actor ends
// once it has worked off what it was sent.
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
		if c.mailbox == nil {
			c.idleLocked()
			return
		}
		// The actor decides in its own turn, behind everything that was sent before.
		c.postLocked(checkIdle{})
	case coreStopped:
		// Nobody holds the failed incarnation: sent anew, the object starts anew.
		c.idleLocked()
	}
}

// idleLocked forgets the actor, if there was one.
func (c *objectCore) idleLocked() {
	c.state = coreIdle
	c.mailbox, c.pid, c.spawned, c.tokens = nil, nil, false, 0
}

// Deliver gives a call to the object's actor. Calls run in the order of delivery.
func (c *objectCore) Deliver(call seam.Call) {
	inv := invocationOf(call)
	inv.core = c
	if c.forward != nil && c.passesOn(inv) {
		c.forward.pass(inv)
		return
	}
	if err := c.deliver(inv); err != nil {
		inv.fail(err)
	}
}

// passesOn reports whether a forwarder passes the call on at once, without a turn of its own: an answer that the broker
// finds behind the call goes to its actor at once as well, and must not overtake it. It does not where calls before
// this one wait, or where this one is to wait because its peer does not read.
func (c *objectCore) passesOn(inv *Invocation) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state == coreRunning && c.inFlight == 0 && (!inv.wantsAnswer || !inv.conn.Congested())
}

func (c *objectCore) deliver(inv *Invocation) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.state != coreRunning:
		return stoppedError(c.value)
	case inv.caller.IsOver(): // Looked at under the lock: a Caller ends before it looks for calls here.
		return errCallDropped
	}
	c.postLocked(inv)
	return nil
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
	c.inFlight++
	if c.mailbox == nil {
		c.mailbox = actor.NewMailbox()
	}
	c.queue.push(message)
	if c.tokens < c.queue.len() {
		c.tokens++
		c.mailbox.PostUserMessage(work{})
	}
	c.spawnLocked()
}

// take gives the object's turn what is next, nil if there is nothing. A call behind others of its connection that are
// parked is parked, too.
func (c *objectCore) take(mailbox *actor.Mailbox) (message any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mailbox != mailbox {
		return nil
	}
	c.tokens--
	message = c.queue.pop()
	if len(c.parked) == 0 {
		return message
	}
	if p := c.parkedBeforeLocked(message); p != nil {
		p.waiting = append(p.waiting, message)
		return nil
	}
	return message
}

// parkedBeforeLocked is the parked calls that a message must not overtake: a call those of its connection, a
// continuation those that arrived before the result that it is for. A copy is viewed behind the updates that arrived
// before, which are all of one connection.
func (c *objectCore) parkedBeforeLocked(message any) *parking {
	switch m := message.(type) {
	case *Invocation:
		if !m.caller.IsOver() {
			return c.parked[m.conn]
		}
	case *turn:
		if _, copied := c.value.(RemoteCacher); copied {
			for _, p := range c.parked {
				return p
			}
		}
		return c.parked[m.conn]
	}
	return nil
}

// dropCalls takes out a caller's calls that wait, parked ones among them. The caller has ended, so no more come.
func (c *objectCore) dropCalls(who *peerCaller) (dropped []*Invocation) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != coreRunning {
		return nil
	}
	belongs := func(message any) bool {
		inv, ok := message.(*Invocation)
		if !ok || inv.caller != who {
			return false
		}
		dropped = append(dropped, inv)
		return true
	}
	if p := c.parked[who.conn]; p != nil {
		p.waiting = slices.DeleteFunc(p.waiting, belongs)
		if len(p.waiting) == 0 {
			delete(c.parked, who.conn)
		}
	}
	c.queue.remove(belongs)
	c.inFlight -= len(dropped)
	if len(dropped) > 0 && c.inFlight == 0 && c.holders == 0 && !c.owned {
		c.postLocked(checkIdle{})
	}
	return dropped
}

// waitsFor reports whether a call of the caller is in the queue.
func (c *objectCore) waitsFor(who *peerCaller) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.queue.has(func(message any) bool {
		inv, ok := message.(*Invocation)
		return ok && inv.caller == who
	})
}

// startLocked lets messages in, unless the core takes some already or has stopped for good.
func (c *objectCore) startLocked(rt *actor.Runtime) {
	if c.state == coreIdle {
		c.settleInLocked(rt)
		c.state = coreRunning
	}
}

// spawnLocked gives the core an actor once it has messages, but not while a Do runs without one. The supervisor of
// objects spawns it, in its own turn; what is posted meanwhile waits in the mailbox.
func (c *objectCore) spawnLocked() {
	if !c.inline {
		c.spawnNowLocked()
	}
}

func (c *objectCore) spawnNowLocked() {
	if c.spawned || c.mailbox == nil || c.state != coreRunning {
		return
	}
	c.spawned = true
	mailbox := c.mailbox
	again := false
	seat := &seat{core: c}
	props := c.rt.Props(
		func() protoactor.Actor {
			o := &object{core: seat.core, mailbox: mailbox, again: again, seat: seat}
			again = true
			return o
		},
		protoactor.WithMailbox(func() protoactor.Mailbox { return mailbox }),
	)
	supervision.TreeOf(c.rt).SpawnAsync(c.branch, props, typeName(c.value), func(_ *protoactor.PID, err error) {
		if err != nil {
			// A tree that is closing refuses before SpawnAsync returns, which is under the lock.
			go func() {
				left := c.stopped(mailbox)
				mailbox.PostUserMessage(work{}) // So that they are, however few tokens there are.
				mailbox.Terminate((&object{mailbox: mailbox, left: left, gone: c.stoppedError()}).Undelivered)
			}()
		}
	})
}

// started is called in the object's turn, first thing in each incarnation.
func (c *objectCore) started(mailbox *actor.Mailbox, self *protoactor.PID) {
	c.incarnation.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mailbox == mailbox {
		c.pid = self
		c.bornLocked()
	}
}

// spawnEarlyLocked gives the object its actor while a Do runs without one. What is sent to the actor waits for the Do.
// The channel is closed when the actor has started, or cannot.
func (c *objectCore) spawnEarlyLocked() (born <-chan struct{}) {
	if c.born == nil {
		c.born = make(chan struct{})
	}
	if !c.spawned {
		if c.mailbox == nil {
			c.mailbox = actor.NewMailbox()
		}
		c.early = true
		c.mailbox.PostSystemMessage(&protoactor.SuspendMailbox{})
		c.spawnNowLocked()
	}
	return c.born
}

func (c *objectCore) bornLocked() {
	if c.born != nil {
		close(c.born)
		c.born = nil
	}
}

// inlineOverLocked lets the actor work that has waited for a Do, or gives the object one if it has been sent something
// meanwhile.
func (c *objectCore) inlineOverLocked() {
	c.inline, c.waiting = false, nil
	if c.early {
		c.early = false
		if c.mailbox != nil { // or the actor could not be spawned
			c.mailbox.PostSystemMessage(&protoactor.ResumeMailbox{})
		}
	}
	c.spawnLocked()
}

// settle is called in the object's turn after each message. It reports whether the actor has nothing left to live for;
// then the core no longer knows it, and the actor must stop without touching the user's value again.
func (c *objectCore) settle(mailbox *actor.Mailbox) (end bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inFlight--
	if c.mailbox != mailbox || c.holders > 0 || c.owned || c.inFlight > 0 {
		return false
	}
	c.idleLocked()
	return true
}

// settleLater counts a message whose method panicked. Whether the actor has anything left to live for is looked at
// after the supervisor has decided.
func (c *objectCore) settleLater(mailbox *actor.Mailbox) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mailbox != mailbox {
		return
	}
	c.broken, c.mending = true, false
	c.inFlight--
	if c.holders == 0 && !c.owned && c.inFlight == 0 {
		c.postLocked(checkIdle{})
	}
}

// beginMending reports whether the value is to be made good again and nobody has tried yet since it broke.
func (c *objectCore) beginMending() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := !c.mending
	c.mending = true
	return first
}

// isBroken reports whether the value is to be made good before its next call, and whether that has been tried since it
// broke.
func (c *objectCore) isBroken() (broken, mending bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.broken, c.mending
}

// producer makes fresh instances; nil if the object has none.
func (c *objectCore) producer() func() any {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.produce
}

func (c *objectCore) runtime() *actor.Runtime {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rt
}

func (c *objectCore) logger() *zerolog.Logger { return c.runtime().Logger() }

// mended notes that the value is good again, or that a fresh one is in its place.
func (c *objectCore) mended(fresh any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken, c.mending = false, false
	if fresh != nil {
		c.value = fresh
	}
}

// stopped is called when the actor behind mailbox has stopped, or could not be spawned. Calls that come later are
// refused. It returns what was queued and parked, which is to be dropped.
func (c *objectCore) stopped(mailbox *actor.Mailbox) (left []any) {
	c.mu.Lock()
	if c.mailbox == mailbox && c.state == coreRunning {
		left = c.queue.all()
		for _, p := range c.parked {
			left = append(left, p.waiting...)
			p.waiting = nil
		}
		c.parked = nil
		c.state = coreStopped
		c.bornLocked()
		c.inFlight = 0
		c.owned = false
		c.pid = nil
		c.observers = nil // Nobody is left to tell them anything.
		if r, ok := c.value.(RemoteCacher); ok {
			r.freshness().stop(c.rt, stoppedError(c.value))
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

// typeName is a short name for logs and PIDs: the struct's, without its package.
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

// checkIdle makes the object's actor look whether anybody still holds the object.
type checkIdle struct{}
