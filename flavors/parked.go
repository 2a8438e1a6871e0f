package flavors

import "github.com/perspectivebroker/pb/internal/seam"

import protoactor "github.com/asynkron/protoactor-go/actor"

// Calls of a peer that does not read its answers are parked: they keep their order, but are not run until the peer has
// read. So answers do not pile up, nobody else's calls are held up, and reading from that peer goes on: it may be
// waiting for an answer of its own.

// parking is the calls of one connection that an object has parked, and what must not overtake them. It outlives the
// object's restarts.
type parking struct {
	conn    seam.Conn
	waiting []any // of *Invocation and *turn; guarded by the core's lock
}

// resume makes an object run one of the calls that it has parked.
type resume struct{ *parking }

// park takes a call aside if its answer would only wait.
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

// park gives the call a parking of its own: take has seen that its connection has none. A call whose caller has ended
// is not parked.
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
	// It is not counted among what the object has in flight: the calls are.
	p.conn.WhenClear(func() { mailbox.PostUserMessage(resume{p}) })
}

// resume runs the first of what is parked. Calls of others come in between.
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

// unpark takes out the first of what is parked, nil if it was dropped, and reports whether there is more.
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
