package flavors

import "github.com/perspectivebroker/pb/internal/seam"

import protoactor "github.com/asynkron/protoactor-go/actor"

// Calls of a peer that does not read its answers are parked: they keep their order, but do not run until the peer has
// read. So answers do not pile up, calls of other peers are not delayed, and reading from that peer goes on: it may be
// waiting for an answer itself.

// parking is the parked calls of one connection, and the messages that must not overtake them. It outlives restarts of
// the object.
type parking struct {
	conn    seam.Conn
	waiting []any // of *Invocation and *turn; guarded by the core's lock
}

// resume makes an object run the next of its parked calls.
type resume struct{ *parking }

// park parks a call whose answer would only wait to be written.
func (o *object) park(inv *Invocation) bool {
	if !inv.wantsAnswer || !inv.conn.Congested() {
		return false
	}
	p := o.core.park(inv)
	if p == nil {
		return false
	}
	o.resumeLater(p)
	return true
}

// park parks the first call of a connection: take has found no parking for it. A call whose caller has ended is not
// parked.
func (c *objectCore) park(inv *Invocation) *parking {
	c.mu.Lock()
	defer c.mu.Unlock()
	if inv.caller.IsOver() {
		return nil
	}
	p := &parking{conn: inv.conn, waiting: []any{inv}}
	if c.parked == nil {
		c.parked = map[seam.Conn]*parking{}
	}
	c.parked[inv.conn] = p
	return p
}

func (o *object) resumeLater(p *parking) {
	mailbox := o.mailbox
	// The resume message does not count as in flight: the calls do.
	p.conn.WhenClear(func() { mailbox.PostUserMessage(resume{p}) })
}

// resume runs the first parked message. Calls of other connections come in between.
func (o *object) resume(ctx protoactor.Context, p *parking) {
	if o.ended {
		return
	}
	if p.conn.Congested() {
		o.resumeLater(p)
		return
	}
	first, more := o.core.unpark(p)
	if more {
		o.mailbox.PostUserMessage(resume{p})
	}
	switch m := first.(type) {
	case *Invocation:
		o.call(ctx, m)
	case *turn:
		o.guarded(ctx, func() { o.runTurn(m) })
	}
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
		delete(c.parked, p.conn)
	}
	return first, len(p.waiting) > 0
}
