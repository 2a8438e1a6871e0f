package flavors

import (
	"slices"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/internal/seam"
)

// Calls of a peer that does not read its answers are parked: they keep their order, but do not run until the peer has
// read. So answers do not pile up, calls of other peers are not delayed, and reading from that peer goes on: it may be
// waiting for an answer itself.

// resume makes an object run the next of its parked calls.
type resume struct{ *parking }

// park parks the first call of a connection: take has found no parking for it. A call whose caller has ended is not
// parked.
func (c *objectCore) park(inv *Invocation) *parking {
	c.mu.Lock()
	defer c.mu.Unlock()
	if inv.caller.IsOver() {
		return nil
	}
	p := &parking{conn: inv.conn, waiting: []any{inv}}
	r := c.rareLocked()
	if r.parked == nil {
		r.parked = map[seam.Conn]*parking{}
	}
	r.parked[inv.conn] = p
	c.active.working = ""
	return p
}

// take returns the next message for the object's turn, nil if there is none. A call behind parked calls of its
// connection is parked too.
func (c *objectCore) take(mailbox *actor.Mailbox) (message any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.takeLocked(mailbox)
}

func (c *objectCore) takeLocked(mailbox *actor.Mailbox) (message any) {
	a := c.active
	if a.mailbox != mailbox {
		return nil
	}
	a.tokens--
	message = a.queue.pop()
	if a.rare == nil || len(a.rare.parked) == 0 {
		c.beginTurnLocked(message)
		return message
	}
	if p := c.parkedBeforeLocked(message); p != nil {
		p.waiting = append(p.waiting, message)
		return nil
	}
	c.beginTurnLocked(message)
	return message
}

// parkedBeforeLocked returns the parked calls that a message must not overtake. A call must not overtake those of its
// connection, a continuation those that arrived before its result. A view of a copy waits for the updates that arrived
// before it, which all come from one connection.
func (c *objectCore) parkedBeforeLocked(message any) *parking {
	switch m := message.(type) {
	case *Invocation:
		if !m.caller.IsOver() {
			return c.parkedLocked(m.conn)
		}
	case *turn:
		if _, copied := c.value.(remoteCopy); copied {
			for _, p := range c.active.rare.parked {
				return p
			}
		}
		return c.parkedLocked(m.conn)
	}
	return nil
}

// unpark removes the first parked message, nil if it was dropped, and reports whether there are more.
func (c *objectCore) unpark(p *parking) (first any, more bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(p.waiting) == 0 {
		return nil, false
	}
	first = p.waiting[0]
	p.waiting[0] = nil
	p.waiting = p.waiting[1:]
	if len(p.waiting) == 0 {
		delete(c.active.rare.parked, p.conn)
	}
	c.beginTurnLocked(first)
	return first, len(p.waiting) > 0
}

// TakeBackFrom takes calls away from an object that [Invocation.PassToObject] was given with [Passing.Returns]: those
// that wait because the peers that made them do not read, and all later ones of these peers. It returns them as they
// were, in the order in which they were given, to be passed elsewhere. Calls that have begun stay. Continuations in the
// object's turn ([actor.Deferred.Then]) that waited for these calls go on.
//
// Calls may come to wait so later, so it is called again until the object is done with those that it has.
func TakeBackFrom(object any) []*Invocation {
	core, err := coreOf(object)
	if err != nil {
		return nil
	}
	taken := core.takeBack()
	for _, inv := range taken {
		inv.backFromObject()
	}
	return taken
}

// takeBack takes out the calls that can be given back of the peers with parked calls.
func (c *objectCore) takeBack() (taken []*Invocation) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.active
	if c.state != coreRunning || a == nil || a.rare == nil {
		return nil
	}
	for conn, p := range a.rare.parked {
		c.removeLocked(p, func(message any) bool {
			inv, ok := message.(*Invocation)
			if ok = ok && inv.conn == conn && inv.relay.returns(); ok {
				taken = append(taken, inv)
			}
			return ok
		})
		if !slices.ContainsFunc(p.waiting, isCall) {
			c.unparkTurnsLocked(p)
		}
	}
	c.removedLocked(len(taken))
	return taken
}

func isCall(message any) bool {
	_, ok := message.(*Invocation)
	return ok
}

// unparkTurnsLocked has continuations wait in the queue that are not behind calls any more.
func (c *objectCore) unparkTurnsLocked(p *parking) {
	turns := p.waiting
	p.waiting = nil
	delete(c.active.rare.parked, p.conn)
	for _, t := range turns {
		c.active.inFlight-- // postLocked counts it again.
		c.postLocked(t)
	}
}
