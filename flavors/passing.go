package flavors

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perspectivebroker/pb/internal/figures"
	"github.com/perspectivebroker/pb/internal/seam"
)

// passing is what a connection has to do with messages that are passed on: those of its peer, and those for it.
type passing struct {
	conn    seam.Conn
	waiters atomic.Int32                   // how many pairs wait for it
	latest  atomic.Pointer[pair]           // the one that pairTo has returned last, while pairs has it
	series  atomic.Pointer[figures.Series] // where the latest call that was passed on is counted

	mu sync.Mutex
	// Guarded by mu.
	over  bool               // the connection has ended
	pairs map[*passing]*pair // by where the peer's messages are passed on to

	waitMu  sync.Mutex         // may be locked while mu of another one is
	waiting map[*pair]struct{} // guarded by waitMu: the pairs of other connections with messages for this one
}

// passingOf returns that of a connection. All its callers have the same.
func passingOf(conn seam.Conn) *passing { return conn.Caller().(*peerCaller).passing }

// pair is two connections, of which the messages of one are passed on to the other. If something has to wait because
// one of the peers does not read, all that comes behind it waits too: so messages keep their order.
type pair struct {
	from, to *passing
	unfollow func() bool // keeps the pair when the connection of to has ended
	starved  atomic.Bool // what waits needs a share, see hasShare
	turn     sync.Mutex  // held while a message that has waited is passed on; locked before from's mu

	// Guarded by from's mu.
	open     *Invocation // calls that to has not answered, a list
	count    int         // of these calls
	waiting  []passable
	resuming bool // a goroutine passes on what has waited
}

// pairEntry is the place of a call among the open ones of a pair.
type pairEntry struct {
	prev, next *Invocation
}

// passable is a message that is passed on: a call, or an update of a copy.
type passable interface {
	// passNow passes the message on. If that cannot be done now, it returns what calls a function once it may be.
	passNow(p *pair) (until func(f func()))
	// waitsIn is called when the message has to wait.
	waitsIn(p *pair)
}

// pairTo returns the pair with another connection.
func (p *passing) pairTo(to *passing) *pair {
	if one := p.latest.Load(); one != nil && one.to == to {
		return one
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if one := p.pairs[to]; one != nil {
		p.latest.Store(one)
		return one
	}
	one := &pair{from: p, to: to, unfollow: func() bool { return true }}
	if p.over || to.conn.Context().Err() != nil {
		return one // Nothing is passed on any more.
	}
	if p.pairs == nil {
		p.pairs = map[*passing]*pair{}
	}
	p.pairs[to] = one
	p.latest.Store(one)
	one.unfollow = context.AfterFunc(to.conn.Context(), func() { p.forget(to) })
	return one
}

func (p *passing) forget(to *passing) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.latest.Load() == p.pairs[to] {
		p.latest.Store(nil)
	}
	delete(p.pairs, to)
}

// end cancels the calls that are passed on, because the connection of their caller has ended.
func (p *passing) end() {
	var open []*Invocation
	p.mu.Lock()
	p.over = true
	p.latest.Store(nil)
	pairs := p.pairs
	p.pairs = nil
	for _, one := range pairs {
		for inv := one.open; inv != nil; inv = inv.relay.inPair.next {
			open = append(open, inv)
		}
	}
	p.mu.Unlock()
	for _, one := range pairs {
		one.unfollow()
	}
	for _, inv := range open {
		inv.passedOn.Load().Cancel()
	}
}

// pass passes a message on, behind those that wait.
func (p *pair) pass(x passable) {
	if p.to.waiters.Load() > 0 && p.join(x, false) {
		x.waitsIn(p)
		return
	}
	until := x.passNow(p)
	if until == nil {
		return
	}
	joined := p.join(x, true)
	x.waitsIn(p)
	if !joined {
		until(p.resumeSoon)
	}
}

// join adds a message to those that wait, and reports whether there were any. If there were none, it adds the message
// only if first is set.
func (p *pair) join(x passable, first bool) (others bool) {
	p.from.mu.Lock()
	defer p.from.mu.Unlock()
	others = len(p.waiting) > 0 || p.resuming
	if others || first {
		p.waiting = append(p.waiting, x)
		p.noteLocked()
	}
	return others
}

// noteLocked tells the other connection whether something waits for it.
func (p *pair) noteLocked() {
	waits := len(p.waiting) > 0 || p.resuming
	to := p.to
	to.waitMu.Lock()
	defer to.waitMu.Unlock()
	if _, known := to.waiting[p]; known == waits {
		return
	}
	if !waits {
		delete(to.waiting, p)
		to.waiters.Add(-1)
		return
	}
	if to.waiting == nil {
		to.waiting = map[*pair]struct{}{}
	}
	to.waiting[p] = struct{}{}
	to.waiters.Add(1)
}

// resumeWaiting has those go on that wait for the connection, or only those that need a share of its calls.
func (p *passing) resumeWaiting(starved bool) {
	if p.waiters.Load() == 0 {
		return
	}
	p.waitMu.Lock()
	defer p.waitMu.Unlock()
	for one := range p.waiting {
		if !starved || one.starved.Swap(false) {
			one.resumeSoon()
		}
	}
}

// resumeSoon is called when there may be room, by whoever made it.
func (p *pair) resumeSoon() {
	if !p.from.conn.Runtime().Go("passing calls on", p.resume) {
		go p.resume()
	}
}

// resume passes on what waits, as long as there is room.
func (p *pair) resume() {
	if !p.beginResume() {
		return
	}
	for p.resumeOne() {
	}
}

// resumeOne passes on the first of those that wait. It reports false if there are none, or it has to wait still.
func (p *pair) resumeOne() bool {
	p.turn.Lock()
	defer p.turn.Unlock()
	x := p.next()
	if x == nil {
		return false
	}
	until := x.passNow(p)
	if until != nil {
		p.putBack(x)
		until(p.resumeSoon)
	}
	return until == nil
}

// beginResume reports whether this goroutine is the one that resumes.
func (p *pair) beginResume() bool {
	p.from.mu.Lock()
	defer p.from.mu.Unlock()
	if p.resuming || len(p.waiting) == 0 {
		return false
	}
	p.resuming = true
	return true
}

// next takes out the first of those that wait. If there are none, resuming is over.
func (p *pair) next() passable {
	p.from.mu.Lock()
	defer p.from.mu.Unlock()
	if len(p.waiting) == 0 {
		p.waiting, p.resuming = nil, false
		p.noteLocked()
		return nil
	}
	first := p.waiting[0]
	p.waiting[0] = nil
	p.waiting = p.waiting[1:]
	return first
}

func (p *pair) putBack(x passable) {
	p.from.mu.Lock()
	defer p.from.mu.Unlock()
	p.waiting = slices.Insert(p.waiting, 0, x)
	p.resuming = false
}

// takeOf takes out the calls of a caller that has ended.
func (p *pair) takeOf(caller *peerCaller) []*Invocation {
	return p.take(func(inv *Invocation) bool { return inv.caller == caller })
}

// take takes some calls out of those that wait.
func (p *pair) take(want func(inv *Invocation) bool) (taken []*Invocation) {
	p.from.mu.Lock()
	defer p.from.mu.Unlock()
	p.waiting = slices.DeleteFunc(p.waiting, func(x passable) bool {
		inv, ok := x.(*Invocation)
		if !ok || !want(inv) {
			return false
		}
		taken = append(taken, inv)
		return true
	})
	p.noteLocked()
	return taken
}

// isIdle reports whether nothing waits.
func (p *pair) isIdle() bool {
	p.from.mu.Lock()
	defer p.from.mu.Unlock()
	return len(p.waiting) == 0 && !p.resuming
}

// isOver reports whether the connection of the callers has ended.
func (p *pair) isOver() bool {
	p.from.mu.Lock()
	defer p.from.mu.Unlock()
	return p.from.over
}

// begin adds a call to those that wait for an answer. It reports false if its caller has gone.
func (p *pair) begin(inv *Invocation) bool {
	p.from.mu.Lock()
	defer p.from.mu.Unlock()
	if p.from.over {
		return false
	}
	inv.relay.inPair, inv.relay.isOpen = pairEntry{next: p.open}, true
	if p.open != nil {
		p.open.relay.inPair.prev = inv
	}
	p.open = inv
	p.count++
	return true
}

// end takes out a call that has been answered, if it was added.
func (p *pair) end(inv *Invocation) {
	p.from.mu.Lock()
	was, wasOpen := inv.relay.inPair, inv.relay.isOpen
	if wasOpen {
		inv.relay.inPair, inv.relay.isOpen = pairEntry{}, false
		if was.prev == nil {
			p.open = was.next
		} else {
			was.prev.relay.inPair.next = was.next
		}
		if was.next != nil {
			was.next.relay.inPair.prev = was.prev
		}
		p.count--
	}
	p.from.mu.Unlock()
	if wasOpen {
		p.to.resumeWaiting(true)
	}
}

// hasShare reports whether a call may be one more of the unanswered calls of the other connection. Each peer may use as
// much of what that connection may have as it leaves to others, so that one cannot use up all.
func (p *pair) hasShare() bool {
	n, most := p.to.conn.Unanswered()
	if 2*n < most {
		return true
	}
	p.from.mu.Lock()
	defer p.from.mu.Unlock()
	return p.count < most-n
}

// shareLook is how long a call waits at most until it is looked again whether there is room for it. Passed calls that
// are answered make room at once, other calls of this process are not seen.
const shareLook = 50 * time.Millisecond

// whenShare has f run when there may be a share.
func (p *pair) whenShare(f func()) {
	p.starved.Store(true)
	if p.hasShare() || p.to.conn.Context().Err() != nil {
		f()
		return
	}
	time.AfterFunc(shareLook, f)
}

// whenRoom has f run when the other connection may take a call that it had no room for.
func (p *pair) whenRoom(f func()) {
	if to := p.to.conn; !to.HasRoom() {
		to.WhenRoom(f)
		return
	}
	p.whenShare(f)
}

// pass passes a call on.
func (r *RemoteReference) pass(inv *Invocation) {
	inv.relaying().passTo = r
	passingOf(inv.conn).pairTo(passingOf(r.remote.conn)).pass(inv)
}

// waitsIn implements passable: it notes that a call of its caller waits.
func (inv *Invocation) waitsIn(p *pair) {
	c := inv.caller
	if c == nil {
		return
	}
	c.mu.Lock()
	if !slices.Contains(c.lines, p) {
		c.lines = append(slices.DeleteFunc(c.lines, (*pair).isIdle), p)
	}
	c.mu.Unlock()
	if c.IsOver() { // It may have looked for its calls before.
		for _, inv := range p.takeOf(c) {
			inv.dropped()
		}
	}
}

func (c *peerCaller) takeLines() []*pair {
	c.mu.Lock()
	defer c.mu.Unlock()
	lines := c.lines
	c.lines = nil
	return lines
}

// PassesOn reports whether calls wait to be passed on to the connection of a reference. If the connection has ended,
// they are being given back: see [Passing].
func PassesOn(ref *RemoteReference) bool {
	if !ref.isMade() {
		return false
	}
	p := passingOf(ref.remote.conn)
	if p.waiters.Load() == 0 {
		return false
	}
	if p.conn.Context().Err() != nil {
		p.resumeWaiting(false) // They may wait for a caller that does not read.
	}
	return true
}

// TakeBack gives back the calls that wait to be passed on to objects, because one of the peers does not read: for each
// that [Invocation.PassTo] was given a [Passing] with NotPassed, this is called before TakeBack returns. So they can be
// passed elsewhere, in the order in which they were given. The others wait on.
func TakeBack(refs ...*RemoteReference) {
	wanted := map[*RemoteReference]struct{}{}
	lines := map[*passing]struct{}{}
	for _, ref := range refs {
		if ref.isMade() {
			wanted[ref] = struct{}{}
			lines[passingOf(ref.remote.conn)] = struct{}{}
		}
	}
	for line := range lines {
		for _, p := range line.waitingPairs() {
			p.takeBack(wanted)
		}
	}
}

func (p *passing) waitingPairs() []*pair {
	if p.waiters.Load() == 0 {
		return nil
	}
	p.waitMu.Lock()
	defer p.waitMu.Unlock()
	return slices.Collect(maps.Keys(p.waiting))
}

// takeBack gives back the calls that wait for some objects.
func (p *pair) takeBack(wanted map[*RemoteReference]struct{}) {
	p.turn.Lock() // One that is being passed on may have to wait again.
	defer p.turn.Unlock()
	taken := p.take(func(inv *Invocation) bool {
		_, ok := wanted[inv.relay.passTo]
		return ok && inv.relay.canReturn()
	})
	for _, inv := range taken {
		inv.notPassed(errTakenBack)
	}
}

// errTakenBack is the error of a call that was taken back.
var errTakenBack = DeadReference.New("the call was taken back before it was passed on")
