package cluster

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	protoactor "github.com/asynkron/protoactor-go/actor"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cluster/internal/directory"
	"github.com/perspectivebroker/pb/flavors"
)

// maxWaiting is how many calls may wait for an object to be activated. Further ones fail.
const maxWaiting = 10_000

// slotState is the life cycle of a slot.
type slotState uint8

const (
	slotEmpty      slotState = iota // no activation
	slotActivating                  // the factory runs; calls wait
	slotLive                        // calls go to the object
	slotEnding                      // the object ends in order; calls wait
)

// slot is the place of an object on this node while there is an activation, or calls wait for one. Once it has been
// removed from the node's table it does not come back: calls then go to another one.
type slot struct {
	node  *Node
	kind  *kind
	key   objectKey
	shard directory.Shard

	mu sync.Mutex
	// Guarded by mu.
	state   slotState
	removed bool // from the node's table
	waiting []slotCall
	live    *activation   // nil unless state is slotLive or slotEnding
	ended   chan struct{} // closed when the state ceases to be slotEnding or slotActivating
	handles map[User]weak.Pointer[handle]
}

// slotCall is a call with the user that makes it.
type slotCall struct {
	inv  *flavors.Invocation
	user User
	own  bool // it has come by this node's Ref, to which it may go back
}

// activation is one life of a placed object.
type activation struct {
	slot   *slot
	object any
	pid    *protoactor.PID
	token  int64
	cancel context.CancelFunc
	dead   atomic.Bool
	used   atomic.Int64      // when the last call was made or answered, in nanoseconds since the node began
	open   atomic.Int64      // calls that are not answered
	views  recent[any]       // of users; guarded by the slot's mu
	how    []flavors.Passing // how calls of other nodes are passed to the object, one element
	own    []flavors.Passing // how those of this node's Ref are
}

func newSlot(n *Node, k *kind, key objectKey) *slot {
	return &slot{
		node: n, kind: k, key: key, shard: directory.ShardOf(key.kind, key.id),
		handles: map[User]weak.Pointer[handle]{},
	}
}

func (p *slot) isLive() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.live != nil
}

// admit is asked in the object's turn before each call: a process that was stopped must not carry out what waited when
// it wakes, because another node may have placed the object meanwhile.
func (a *activation) admit() error {
	if a.dead.Load() || !a.slot.node.dir.Admit() {
		return Unavailable.Errorf("the node %s has no good lease", a.slot.node.opts.Name)
	}
	return nil
}

// enter gives a call to an object of this node, which is activated if need be. It reports false if the node does not
// offer the kind.
func (n *Node) enter(key objectKey, c slotCall) bool {
	for {
		p := n.slot(key)
		if p == nil {
			return false
		}
		if p.enter(c) {
			return true
		}
	}
}

// enter reports false if the slot has been removed.
func (p *slot) enter(c slotCall) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.removed:
		return false
	case p.state == slotLive:
		p.live.take(c)
		return true
	case len(p.waiting) >= maxWaiting:
		c.inv.Answer(nil, broker.Busy.Errorf(
			"%d calls wait for %s %q to be activated", len(p.waiting), p.key.kind, p.key.id))
		return true
	}
	p.waiting = append(p.waiting, c)
	if p.state == slotEmpty {
		p.activateLocked()
	}
	return true
}

// emptyLocked removes the slot, for which no calls wait.
func (p *slot) emptyLocked() {
	p.state = slotEmpty
	p.removed = true
	p.node.removeSlot(p)
}

// take is called with the slot's lock, which keeps the calls in order.
func (a *activation) take(c slotCall) {
	if err := a.admit(); err != nil {
		c.inv.Answer(nil, err)
		return
	}
	target := a.object
	if a.slot.kind.viewable {
		view, ok := a.views.get(c.user)
		if !ok {
			var err error
			if view, err = flavors.NewViewPoint(c.user, a.object); err != nil {
				c.inv.Answer(nil, err)
				return
			}
			a.keepView(c.user, view)
		}
		target = view
	}
	a.touch()
	a.open.Add(1)
	if c.own {
		c.inv.PassToObject(target, a.own...)
	} else {
		c.inv.PassToObject(target, a.how...)
	}
}

// keepView keeps a user's view. It is called with the slot's lock.
func (a *activation) keepView(u User, view any) {
	a.views.set(u, view)
	if !a.views.aging {
		a.views.aging = true
		ageLater(a.slot.node.userIdle, a, (*activation).forgetViews)
	}
}

// forgetViews forgets the views of users who do not call any more.
func (a *activation) forgetViews() (left bool) {
	a.slot.mu.Lock()
	defer a.slot.mu.Unlock()
	return a.views.age(func(any) bool { return false }) && !a.dead.Load()
}

// stopped returns what the callers get whose calls waited when the activation was killed: none of them was carried out.
func (a *activation) stopped(error) error {
	return Unavailable.Errorf("the node %s has lost %s %q", a.slot.node.opts.Name, a.slot.key.kind, a.slot.key.id)
}

func (a *activation) answered() {
	a.open.Add(-1)
	a.touch()
}

// giveBack has calls go to the object's next place that wait for clients which do not read.
func (a *activation) giveBack() {
	if calls := flavors.TakeBackFrom(a.object); len(calls) > 0 {
		a.slot.node.Get(a.slot.key.kind, a.slot.key.id).comeBackFrom(calls)
		a.open.Add(-int64(len(calls)))
	}
}

// touch notes when the activation was used, if that matters.
func (a *activation) touch() {
	if a.slot.kind.idle > 0 {
		a.used.Store(time.Now().UnixNano())
	}
}

func (p *slot) activateLocked() {
	p.state = slotActivating
	p.ended = make(chan struct{})
	if !p.node.rt.Go("activating an object", p.activate) {
		go p.activate() // The runtime closes, so it fails.
	}
}

// activate makes the object. It runs on a goroutine of its own, because the factory may block.
func (p *slot) activate() {
	a, err := p.newActivation()
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.ended)
	calls := p.waiting
	p.waiting = nil
	if err == nil && p.state != slotActivating { // dropped meanwhile
		a.kill()
		err = Unavailable.Errorf("the node %s has lost its lease", p.node.opts.Name)
	}
	if err != nil {
		p.emptyLocked()
		for _, c := range calls {
			c.inv.Answer(nil, err)
		}
		return
	}
	p.state, p.live = slotLive, a
	for _, c := range calls {
		a.take(c)
	}
	if p.kind.idle > 0 {
		time.AfterFunc(p.kind.idle, func() { p.checkIdle(a) })
	}
}

func (p *slot) newActivation() (a *activation, err error) {
	ctx, cancel := context.WithTimeout(p.node.ctx, PlacingTimeout)
	defer cancel()
	token, err := p.node.dir.Acquire(ctx, p.shard)
	if err != nil {
		return nil, Unavailable.Errorf("%s %q cannot be placed on %s: %w", p.key.kind, p.key.id, p.node.opts.Name, err)
	}
	defer func() {
		if v := recover(); v != nil {
			p.node.log.Error().Str("kind", p.key.kind).Bytes("stack", debug.Stack()).
				Msgf("cluster: the factory panicked with a value of type %T", v)
			a, err = nil, fmt.Errorf("the factory of kind %q has panicked", p.key.kind)
		}
	}()
	life, end := context.WithCancel(p.node.ctx)
	placement := Placement{
		Kind: p.key.kind, ID: p.key.id, Token: token, Ref: p.node.Get(p.key.kind, p.key.id), Context: life,
	}
	made, err := p.kind.produce(placement)
	if err != nil {
		end()
		return nil, err
	}
	pid, err := flavors.Spawn(p.node.rt, made)
	if err != nil {
		end()
		return nil, err
	}
	a = &activation{slot: p, object: made, pid: pid, token: token, cancel: end}
	how := flavors.Passing{Admit: a.admit, Answered: a.answered, Failed: a.stopped}
	a.how = []flavors.Passing{how}
	how.Returns = true
	a.own = []flavors.Passing{how}
	a.touch()
	// The shard may have been lost while the factory ran.
	if now, owned := p.node.dir.Owned(p.shard); !owned || now != token {
		a.kill()
		return nil, Unavailable.Errorf(
			"the node %s has lost the shard of %s %q", p.node.opts.Name, p.key.kind, p.key.id)
	}
	return a, nil
}

// kill ends the activation without saving the object. Calls that have not begun fail.
func (a *activation) kill() {
	a.dead.Store(true)
	a.cancel()
	_ = broker.Revoke(a.slot.node.rt, a.object) // A runtime that closes has no connections.
	a.slot.node.rt.Root().Stop(a.pid)
}

// drop ends the activation at once.
func (p *slot) drop(cause error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.live != nil {
		p.live.kill()
		p.live = nil
	}
	for _, c := range p.waiting {
		c.inv.Answer(nil, errorOf(cause))
	}
	p.waiting = nil
	p.emptyLocked()
}

// checkIdle ends the activation if nobody has used it for a while.
func (p *slot) checkIdle(a *activation) {
	p.mu.Lock()
	if p.live != a || p.state != slotLive {
		p.mu.Unlock()
		return
	}
	idle := time.Since(time.Unix(0, a.used.Load()))
	if a.open.Load() > 0 || idle < p.kind.idle {
		p.mu.Unlock()
		time.AfterFunc(max(p.kind.idle-idle, p.kind.idle/10), func() { p.checkIdle(a) })
		return
	}
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(p.node.ctx, savingTimeout)
	defer cancel()
	p.passivate(ctx, nil)
}

// savingTimeout is how long an idle object may take to save its state.
const savingTimeout = time.Minute

// passivate ends the activation in order: behind all calls, which are answered first. Calls that come meanwhile wait.
// then is called before they go on.
func (p *slot) passivate(ctx context.Context, then func()) {
	for {
		p.mu.Lock()
		if p.state == slotEmpty {
			if then != nil {
				then()
			}
			p.mu.Unlock()
			return
		}
		if p.state == slotLive {
			break
		}
		ended := p.ended
		p.mu.Unlock()
		select {
		case <-ended:
		case <-ctx.Done():
			return
		}
	}
	a := p.live
	p.state = slotEnding
	p.ended = make(chan struct{})
	p.mu.Unlock()

	a.settle(ctx)
	a.save(ctx)

	p.mu.Lock()
	defer p.mu.Unlock()
	a.kill()
	close(p.ended)
	if p.live != a {
		return // dropped meanwhile
	}
	p.live, p.state = nil, slotEmpty
	if then != nil {
		then()
	}
	if len(p.waiting) > 0 {
		p.activateLocked()
	} else {
		p.emptyLocked()
	}
}

// settle waits until the calls of the object have been answered, or ctx ends. It does not wait for clients of this node
// that do not read: their calls are answered already, or have not begun and go to the next place.
func (a *activation) settle(ctx context.Context) {
	for pause := time.Millisecond; a.open.Load() > 0 && !a.dead.Load(); pause = min(2*pause, 50*time.Millisecond) {
		a.giveBack()
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// save calls the function of OnPassivate in the object's turn.
func (a *activation) save(ctx context.Context) {
	if a.slot.kind.save == nil {
		return
	}
	saved := make(chan error, 1) // It may be saving still when Await gives up.
	done := a.object.(object).Do(func() {
		if a.dead.Load() || !a.slot.node.dir.Admit() {
			saved <- errors.New("the lease is not good any more")
			return
		}
		saved <- a.slot.kind.save(ctx, a.object)
	})
	_, failed := done.Await(ctx)
	if failed == nil {
		failed = <-saved
	}
	if failed != nil {
		a.slot.node.log.Error().Err(failed).Str("kind", a.slot.key.kind).Str("id", a.slot.key.id).
			Msg("cluster: an object could not save its state")
	}
}
