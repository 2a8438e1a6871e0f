package broker

import (
	"math"

	"github.com/perspectivebroker/pb/flavors"
)

// pending is our calls that the peer has not answered, by request id. It belongs to the broker actor.
//
// Ids grow, and most calls are answered soon, so a call has its slot at its id modulo the number of slots, which is a
// power of two. One that has been waiting while the ids went once around keeps it, and the newer call goes into a map.
type pending struct {
	last   int64 // the id that was given out last
	lowest int64 // no call below it is pending
	count  int
	slots  []pendingCall
	others map[int64]*flavors.OutgoingCall // those whose slot is taken
}

// pendingCall is a slot; id 0 says that it is free.
type pendingCall struct {
	id   int64
	call *flavors.OutgoingCall // nil once cancelled: the answer will be dropped
}

const (
	fewestSlots = 8
	// idleSlots is what an idle connection may keep.
	idleSlots = 256
)

// number gives the next request id; ids are given to calls that want no answer as well.
func (p *pending) number() int64 {
	p.last++
	return p.last
}

func (p *pending) add(call *flavors.OutgoingCall) { p.enter(call.RequestID, call) }

// ping is in the place of a call of keepalive's, whose answer nobody wants and which no limit and no statistics count.
var ping = new(flavors.OutgoingCall)

func (p *pending) addPing(id int64) { p.enter(id, ping) }

func (p *pending) enter(id int64, call *flavors.OutgoingCall) {
	if p.count == 0 {
		p.lowest = id
	}
	if p.count >= len(p.slots) {
		p.grow()
	}
	p.count++
	p.place(id, call)
}

func (p *pending) place(id int64, call *flavors.OutgoingCall) {
	if slot := p.slot(id); slot.id == 0 {
		*slot = pendingCall{id, call}
		return
	}
	if p.others == nil {
		p.others = map[int64]*flavors.OutgoingCall{}
	}
	p.others[id] = call
}

func (p *pending) slot(id int64) *pendingCall { return &p.slots[id&int64(len(p.slots)-1)] }

func (p *pending) grow() {
	slots, others := p.slots, p.others
	p.slots, p.others = make([]pendingCall, max(fewestSlots, 2*len(slots))), nil
	for _, s := range slots {
		if s.id != 0 {
			p.place(s.id, s.call)
		}
	}
	for id, call := range others {
		p.place(id, call)
	}
}

// has reports whether a call is pending.
func (p *pending) has(id int64) bool {
	if len(p.slots) > 0 && p.slot(id).id == id {
		return true
	}
	_, ok := p.others[id]
	return ok
}

// remove takes out the call with that id; false if there is none.
func (p *pending) remove(id int64) (*flavors.OutgoingCall, bool) {
	if id <= 0 || p.count == 0 {
		return nil, false
	}
	var call *flavors.OutgoingCall
	if slot := p.slot(id); slot.id == id {
		call = slot.call
		*slot = pendingCall{}
	} else {
		var ok bool
		if call, ok = p.others[id]; !ok {
			return nil, false
		}
		delete(p.others, id)
	}
	if p.count--; p.count == 0 && len(p.slots) > idleSlots {
		p.slots, p.others = nil, nil
	}
	return call, true
}

// forget has the answer of a call dropped when it comes. The call's place stays, and counts.
func (p *pending) forget(call *flavors.OutgoingCall) {
	id := call.RequestID
	if id <= 0 || len(p.slots) == 0 {
		return
	}
	if slot := p.slot(id); slot.id == id {
		slot.call = nil
	} else if p.others[id] != nil {
		p.others[id] = nil
	}
}

// removeAll empties the table; each gets every call that was in it, nil for one that nobody waits for.
func (p *pending) removeAll(each func(*flavors.OutgoingCall)) {
	slots, others := p.slots, p.others
	p.slots, p.others, p.count = nil, nil, 0
	for _, s := range slots {
		if s.id != 0 {
			each(s.call)
		}
	}
	for _, call := range others {
		each(call)
	}
}

// oldestID is the id of the oldest call that is not answered, or more than any if there is none.
func (p *pending) oldestID() int64 {
	if p.count == 0 {
		return math.MaxInt64
	}
	for !p.has(p.lowest) {
		p.lowest++
	}
	return p.lowest
}
