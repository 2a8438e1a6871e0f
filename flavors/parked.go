package flavors

import protoactor "github.com/asynkron/protoactor-go/actor"

// Calls of a peer that does not read its answers are parked: they keep their order, but are not run until the peer has read. So answers
// do not pile up, nobody else's calls are held up, and reading from that peer goes on: it may be waiting for an answer of its own.

// parking is the calls of one connection that an object has parked. It belongs to the object's turn and outlives its restarts.
type parking struct {
	conn  Conn
	calls []*Invocation
}

// resume makes an object run one of the calls that it has parked.
type resume struct{ *parking }

// park takes a call aside if its answer would only wait, or if it must stay behind one that was.
func (o *object) park(inv *Invocation) bool {
	p := o.core.parked[inv.conn]
	if p == nil {
		if !inv.wantsAnswer || !inv.conn.Congested() {
			return false
		}
		p = &parking{conn: inv.conn}
		if o.core.parked == nil {
			o.core.parked = map[Conn]*parking{}
		}
		o.core.parked[inv.conn] = p
		o.resumeLater(p)
	}
	p.calls = append(p.calls, inv)
	return true
}

func (o *object) resumeLater(p *parking) {
	mailbox := o.mailbox
	// It is not counted among what the object has in flight: the calls are.
	p.conn.WhenClear(func() { mailbox.PostUserMessage(resume{p}) })
}

// resume runs the first of the parked calls. Those of others come in between.
func (o *object) resume(ctx protoactor.Context, p *parking) {
	if p.conn.Congested() {
		o.resumeLater(p)
		return
	}
	if p.conn.Context().Err() != nil {
		o.abandon(ctx, p)
		return
	}
	inv := p.calls[0]
	p.calls[0] = nil
	p.calls = p.calls[1:]
	if len(p.calls) > 0 {
		o.mailbox.PostUserMessage(resume{p})
	} else {
		delete(o.core.parked, p.conn)
	}
	o.guarded(ctx, func() { inv.run(o) })
}

// abandon forgets the parked calls of a connection that has ended: nobody waits for what they would give.
func (o *object) abandon(ctx protoactor.Context, p *parking) {
	delete(o.core.parked, p.conn)
	for _, inv := range p.calls {
		inv.abandon()
		o.settle(ctx)
	}
	p.calls = nil
}

// dropParked answers what was parked when the object stops for good.
func (o *object) dropParked() {
	parked := o.core.parked
	o.core.parked = nil
	for _, p := range parked {
		for _, inv := range p.calls {
			inv.Drop(o.core.stoppedError())
		}
	}
}
