package broker

import (
	"math"

	"github.com/perspectivebroker/pb/flavors"
)

// pending is our calls that the peer has not answered, by request id and in the order in which they were made. It belongs to the
// broker actor.
type pending struct {
	last          int64
	byID          map[int64]*pendingCall
	oldest, young *pendingCall
}

type pendingCall struct {
	call       *flavors.OutgoingCall // nil once cancelled: the answer will be dropped
	id         int64
	ping       bool // of keepalive, which no limit and no statistics count
	prev, next *pendingCall
}

func newPending() pending { return pending{byID: map[int64]*pendingCall{}} }

// number gives the next request id; ids are given to calls that want no answer as well.
func (p *pending) number() int64 {
	p.last++
	return p.last
}

func (p *pending) add(call *flavors.OutgoingCall) {
	p.enter(&pendingCall{call: call, id: call.RequestID})
}

// addPing enters a call of keepalive's, whose answer nobody wants.
func (p *pending) addPing(id int64) { p.enter(&pendingCall{id: id, ping: true}) }

func (p *pending) enter(e *pendingCall) {
	e.prev = p.young
	if p.young != nil {
		p.young.next = e
	} else {
		p.oldest = e
	}
	p.young = e
	p.byID[e.id] = e
}

// remove takes out the call with that id; nil if there is none.
func (p *pending) remove(id int64) *pendingCall {
	e := p.byID[id]
	if e == nil {
		return nil
	}
	delete(p.byID, id)
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		p.oldest = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		p.young = e.prev
	}
	return e
}

// oldestID is the id of the oldest call that is not answered, or more than any if there is none.
func (p *pending) oldestID() int64 {
	if p.oldest == nil {
		return math.MaxInt64
	}
	return p.oldest.id
}
