package flavors

import protoactor "github.com/asynkron/protoactor-go/actor"

// Calls of a peer that does not read its answers are parked: they keep their order, but are not run until the peer has read. So answers
// do not pile up, nobody else's calls are held up, and reading from that peer goes on: it may be waiting for an answer of its own.

// parking is the calls of one connection that an object has parked. It outlives the object's restarts.
type parking struct {
	conn  Conn
	calls []*Invocation // guarded by the core's lock
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

// park gives the call a parking of its own: take has seen that its connection has none. A call whose caller has ended is not parked.
func (c *Core) park(inv *Invocation) *parking {
	c.mu.Lock()
	defer c.mu.Unlock()
	if inv.caller.IsOver() {
		return nil
	}
	p := &parking{conn: inv.conn, calls: []*Invocation{inv}}
	if c.parked == nil {
		c.parked = map[Conn]*parking{}
	}
	c.parked[inv.conn] = p
	return p
}

func (o *object) resumeLater(p *parking) {
	mailbox := o.mailbox
	// It is not counted among what the object has in flight: the calls are.
	p.conn.WhenClear(func() { mailbox.PostUserMessage(resume{p}) })
}

// resume runs the first of the parked calls. Those of others come in between.
func (o *object) resume(ctx protoactor.Context, p *parking) {
	if o.ended {
		return
	}
	if p.conn.Congested() {
		o.resumeLater(p)
		return
	}
	inv, more := o.core.unpark(p)
	if more {
		o.mailbox.PostUserMessage(resume{p})
	}
	if inv != nil {
		o.call(ctx, inv)
	}
}

// unpark takes out the first of the parked calls, nil if they were dropped, and reports whether there are more.
func (c *Core) unpark(p *parking) (inv *Invocation, more bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(p.calls) == 0 {
		return nil, false
	}
	inv = p.calls[0]
	p.calls[0] = nil
	p.calls = p.calls[1:]
	if len(p.calls) == 0 {
		delete(c.parked, p.conn)
	}
	return inv, len(p.calls) > 0
}
