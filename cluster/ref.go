package cluster

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
	"weak"

	protoactor "github.com/asynkron/protoactor-go/actor"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cluster/internal/directory"
	"github.com/perspectivebroker/pb/cluster/store"
	"github.com/perspectivebroker/pb/flavors"
)

// longestHold bounds how long a call waits for an object that its node gives up in order.
const longestHold = time.Minute

// Ref is a reference to a placed object, wherever it lives. It stays good when the object moves and when its node is
// lost: the next call places the object anew. A Ref can be an argument, an answer and a realm's avatar. Go code calls
// it by CallRemote and with flavors.Call, flavors.Start and flavors.Send; actors send to its PID.
type Ref struct {
	*flavors.Relay
	flavors.Indirect

	node  *Node
	key   objectKey
	shard directory.Shard

	mu sync.Mutex
	// Guarded by mu.
	queue   refQueue // calls that wait to be placed
	placing bool     // a goroutine works on the queue
	route   *route   // nil until the object has been found
	handle  weak.Pointer[flavors.RemoteReference]
	promise *flavors.Promise // of the handle; nil once it is there
}

// route is where calls go at present.
type route struct {
	node        string
	incarnation store.LeaseID
	link        *link // nil for this node
	perUser     bool  // each user has a reference of their own
	refs        recent[*flavors.RemoteReference]
}

func newRef(n *Node, key objectKey) *Ref {
	r := &Ref{node: n, key: key, shard: directory.ShardOf(key.kind, key.id)}
	r.Relay = flavors.NewRelay(r.deliver)
	r.Indirect = flavors.NewIndirect(r.callee)
	return r
}

// Kind returns the kind of the object.
func (r *Ref) Kind() string { return r.key.kind }

// ID returns the id of the object.
func (r *Ref) ID() string { return r.key.id }

// String names the object in logs.
func (r *Ref) String() string { return fmt.Sprintf("<%s %q>", r.key.kind, r.key.id) }

// Format prints what String returns, whatever the verb, because other goroutines may be changing the Ref.
func (r *Ref) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(r.String())) }

// deliver takes a call, in the turn of the caller's connection.
func (r *Ref) deliver(inv *flavors.Invocation) {
	user := r.node.userOf(inv)
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.queue.arrived(inv, user)
	if r.queue.isEmpty() && r.passLocked(c) {
		return
	}
	r.enqueueLocked(c)
}

// enqueueLocked has a call wait for the object to be placed.
func (r *Ref) enqueueLocked(c refCall) {
	switch {
	case r.node.ctx.Err() != nil:
		c.inv.Answer(nil, Unavailable.Wrap(ErrLeft))
	case !r.queue.add(c):
		c.inv.Answer(nil, broker.Busy.Errorf("%d calls wait for %v to be placed", maxQueued, r))
	default:
		r.placeLocked()
	}
}

// placeLocked has a goroutine work on the queue.
func (r *Ref) placeLocked() {
	if !r.queue.isEmpty() && !r.placing {
		r.placing = true
		if !r.node.rt.Go("placing an object", r.place) {
			r.placing = false
			r.failLocked(Unavailable.Wrap(ErrLeft))
		}
	}
}

// userOf returns the user that makes a call.
func (n *Node) userOf(inv *flavors.Invocation) User {
	u := User{Gateway: n.opts.Name}
	switch p := inv.Perspective().(type) {
	case User:
		return p
	case interface{ UserName() string }:
		u.Name = p.UserName()
	case *Ref:
		u.Name = p.key.id
	}
	return u
}

// passLocked passes a call on if it is known where to. Otherwise the call is not carried out by anybody.
func (r *Ref) passLocked(c refCall) bool {
	to := r.route
	if r.takeBackLocked() || to == nil {
		return false
	}
	// While it is held no shard can be given up.
	r.node.passing.RLock()
	defer r.node.passing.RUnlock()
	if r.node.isHeld(r.shard) {
		return false
	}
	if m, owned, _ := r.node.dir.Lookup(r.shard); !owned || m.Name != to.node || m.Incarnation != to.incarnation {
		r.leaveRouteLocked()
		return false
	}
	if to.link == nil {
		return r.node.enter(r.key, c.slotCall)
	}
	ref, ok := to.refs.get(to.user(c.user))
	if !ok {
		return false
	}
	if ref.Err() != nil {
		r.leaveRouteLocked()
		return false
	}
	passOn(c.inv, ref, func(error) { r.comesBack(c) })
	return true
}

// leaveRouteLocked forgets the route. Calls that its link has not sent come back.
func (r *Ref) leaveRouteLocked() {
	if to := r.route; to != nil {
		r.route = nil
		flavors.TakeBack(slices.Collect(to.refs.all())...)
	}
}

// comesBack takes a call that its link has not sent. It may be called with the lock.
func (r *Ref) comesBack(c refCall) {
	if r.queue.comesBack(c) {
		r.takeBackSoon()
	}
}

// comeBackFrom takes calls that an object of this node has not begun.
func (r *Ref) comeBackFrom(invs []*flavors.Invocation) {
	calls := make([]slotCall, len(invs))
	for i, inv := range invs {
		calls[i] = slotCall{inv, r.node.userOf(inv), true}
	}
	if r.queue.comeBackFirst(calls) {
		r.takeBackSoon()
	}
}

func (r *Ref) takeBackSoon() {
	go func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.takeBackLocked()
	}()
}

// takeBackLocked puts the calls that came back into the queue, and reports whether there were any.
func (r *Ref) takeBackLocked() bool {
	if !r.queue.takeIn() {
		return false
	}
	r.leaveRouteLocked()
	r.placeLocked()
	return true
}

// linkRefs returns the references by which calls are given to a link, if they are.
func (r *Ref) linkRefs() []*flavors.RemoteReference {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.route == nil {
		return nil
	}
	return slices.Collect(r.route.refs.all())
}

func (to *route) user(u User) User {
	if to.perUser {
		return u
	}
	return User{}
}

// place finds out where the object is, and passes on what waits for that.
func (r *Ref) place() {
	var last error
	for {
		r.mu.Lock()
		r.drainLocked(last)
		if r.queue.isEmpty() {
			r.placing = false
			r.mu.Unlock()
			return
		}
		first := r.queue.calls[0]
		r.mu.Unlock()
		ctx, cancel := context.WithDeadline(r.node.ctx, first.until)
		last = r.locate(ctx, first.user)
		cancel()
	}
}

// drainLocked passes on what it can, and fails what has waited for too long.
func (r *Ref) drainLocked(why error) {
	now := time.Now()
	if r.node.isHeld(r.shard) { // It moves: that is no failure.
		for i := range r.queue.calls {
			if c := &r.queue.calls[i]; now.Sub(c.since) < longestHold {
				c.until = now.Add(PlacingTimeout)
			}
		}
	}
	if r.node.ctx.Err() != nil {
		r.failLocked(Unavailable.Wrap(ErrLeft))
	}
	r.takeBackLocked()
	r.queue.drain(r.passLocked, func(c refCall) bool {
		if now.Before(c.until) {
			return false
		}
		if why == nil {
			why = context.DeadlineExceeded
		}
		c.inv.Answer(nil, Unavailable.Errorf("%v could not be placed within %v: %w", r,
			now.Sub(c.since).Round(time.Millisecond), why))
		return true
	})
}

func (r *Ref) failLocked(err error) {
	for _, c := range r.queue.all() {
		c.inv.Answer(nil, err)
	}
}

func (r *Ref) waitingCount() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.queue.calls)
}

// Pauses between attempts to place an object. A change of the cluster ends them early.
const (
	shortestPause = 5 * time.Millisecond
	longestPause  = 250 * time.Millisecond
)

// locate sets the route for a user. The error is the last one before ctx ended.
func (r *Ref) locate(ctx context.Context, user User) error {
	var last error
	for pause := shortestPause; ; pause = min(2*pause, longestPause) {
		change := r.node.change()
		if r.node.isHeld(r.shard) {
			last = fmt.Errorf("%v moves to another node", r)
		} else if err := r.locateOnce(ctx, user); err == nil {
			return nil
		} else if ctx.Err() == nil || last == nil {
			last = err
		}
		timer := time.NewTimer(pause)
		select {
		case <-change:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil || r.node.isHeld(r.shard) {
			return last
		}
	}
}

func (r *Ref) locateOnce(ctx context.Context, user User) error {
	m, owned, ok := r.node.dir.Lookup(r.shard)
	switch {
	case !ok:
		return fmt.Errorf("no node offers the kind %q", r.key.kind)
	case m.Name == r.node.opts.Name:
		if err := r.node.claim(ctx, r.key); err != nil {
			return err
		}
		m, owned, _ = r.node.dir.Lookup(r.shard)
		if !owned || m.Name != r.node.opts.Name {
			return directory.ErrNotMine // The view is behind.
		}
		r.setRoute(&route{node: m.Name, incarnation: m.Incarnation}, User{}, nil)
		return nil
	}
	l := r.node.links.get(m.Name)
	if l == nil {
		return fmt.Errorf("there is no link to the node %s", m.Name)
	}
	ref, incarnation, perUser, err := l.place(ctx, r.key, user)
	if err != nil {
		return err
	}
	if !owned { // The key of the shard is on its way.
		if err := r.awaitOwner(ctx, m.Name, incarnation); err != nil {
			return err
		}
	}
	to := &route{node: m.Name, incarnation: incarnation, link: l, perUser: perUser}
	r.setRoute(to, to.user(user), ref)
	return nil
}

// awaitOwner waits until this node sees that another one owns the shard.
func (r *Ref) awaitOwner(ctx context.Context, node string, incarnation store.LeaseID) error {
	for {
		change := r.node.change()
		m, owned, _ := r.node.dir.Lookup(r.shard)
		if owned {
			if m.Name != node || m.Incarnation != incarnation {
				return directory.ErrNotMine
			}
			return nil
		}
		select {
		case <-change:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (r *Ref) setRoute(to *route, user User, ref *flavors.RemoteReference) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.setRouteLocked(to, user, ref)
}

func (r *Ref) setRouteLocked(to *route, user User, ref *flavors.RemoteReference) {
	if old := r.route; old != nil && old.node == to.node && old.incarnation == to.incarnation && old.link == to.link {
		to = old
	} else {
		r.leaveRouteLocked()
	}
	if ref != nil {
		to.refs.set(user, ref)
	}
	r.route = to
	if to.perUser && !to.refs.aging {
		to.refs.aging = true
		mark := weak.Make(to) // The timer does not keep the references of a route that is not used any more.
		ageLater(r.node.userIdle, r, func(r *Ref) bool { return r.forgetUsers(mark) })
	}
}

// forgetUsers forgets the references of users who do not call any more. Those are kept whose link has calls to send:
// these may have to come back.
func (r *Ref) forgetUsers(mark weak.Pointer[route]) (left bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	to := mark.Value()
	return to != nil && r.route == to && to.refs.age(flavors.PassesOn)
}

// callee returns what Go code calls: the reference as a client of this node has it.
func (r *Ref) callee() flavors.Callee {
	r.mu.Lock()
	defer r.mu.Unlock()
	if h := r.handle.Value(); h != nil {
		return h
	}
	if r.promise == nil {
		p := r.node.gate.begin(r.key)
		r.promise = p
		p.Deferred().OnComplete(func(v any, _ error) {
			ref, _ := v.(*flavors.RemoteReference)
			go r.resolved(p, ref) // OnComplete may run here at once, with the lock.
		})
	}
	return r.promise
}

func (r *Ref) resolved(p *flavors.Promise, ref *flavors.RemoteReference) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.promise == p {
		r.promise = nil
		if ref != nil {
			r.handle = weak.Make(ref)
		}
	}
}

// PID returns an address for actors: a flavors.Message that is sent there is a call of the object.
func (r *Ref) PID() *protoactor.PID {
	ctx, cancel := context.WithTimeout(r.node.ctx, PlacingTimeout)
	defer cancel()
	switch c := r.callee().(type) {
	case *flavors.RemoteReference:
		return c.PID()
	case *flavors.Promise:
		if ref, err := flavors.As[*flavors.RemoteReference](c.Deferred().Await(ctx)); err == nil {
			return ref.PID()
		}
	}
	return nil
}
