package table

import "math"

// Pending is the table of our calls that the peer has not answered, by request id. The zero Pending is empty.
//
// Ids grow, and most calls are answered soon. So a call is in the slot at its id modulo the number of slots, which is a
// power of two. If an older call still has that slot, the newer one is in a map.
type Pending[C any] struct {
	last   int64 // the last id that was given out
	lowest int64 // no call below it is pending
	count  int
	slots  []pendingCall[C]
	others map[int64]*C // those whose slot is taken
}

// pendingCall is a slot. It is free if id is 0.
type pendingCall[C any] struct {
	id   int64
	call *C // nil if the call was cancelled
}

const (
	minSlots = 8
	// maxIdleSlots is the number of slots that an empty table may keep.
	maxIdleSlots = 256
)

// Next returns the next request id, beginning with 1.
func (p *Pending[C]) Next() int64 {
	p.last++
	return p.last
}

// Last returns the last id that Next returned.
func (p *Pending[C]) Last() int64 { return p.last }

// Len returns how many calls are pending.
func (p *Pending[C]) Len() int { return p.count }

// Add adds a call with an id that Next returned.
func (p *Pending[C]) Add(id int64, call *C) {
	if p.count == 0 {
		p.lowest = id
	}
	if p.count >= len(p.slots) {
		p.grow()
	}
	p.count++
	p.place(id, call)
}

func (p *Pending[C]) place(id int64, call *C) {
	if slot := p.slot(id); slot.id == 0 {
		*slot = pendingCall[C]{id, call}
		return
	}
	if p.others == nil {
		p.others = map[int64]*C{}
	}
	p.others[id] = call
}

func (p *Pending[C]) slot(id int64) *pendingCall[C] { return &p.slots[id&int64(len(p.slots)-1)] }

func (p *Pending[C]) grow() {
	slots, others := p.slots, p.others
	p.slots, p.others = make([]pendingCall[C], max(minSlots, 2*len(slots))), nil
	for _, s := range slots {
		if s.id != 0 {
			p.place(s.id, s.call)
		}
	}
	for id, call := range others {
		p.place(id, call)
	}
}

func (p *Pending[C]) has(id int64) bool {
	if len(p.slots) > 0 && p.slot(id).id == id {
		return true
	}
	_, ok := p.others[id]
	return ok
}

// Remove removes the call with an id. The call is nil if it was cancelled.
func (p *Pending[C]) Remove(id int64) (call *C, ok bool) {
	if id <= 0 || p.count == 0 {
		return nil, false
	}
	if slot := p.slot(id); slot.id == id {
		call = slot.call
		*slot = pendingCall[C]{}
	} else {
		if call, ok = p.others[id]; !ok {
			return nil, false
		}
		delete(p.others, id)
	}
	if p.count--; p.count == 0 && len(p.slots) > maxIdleSlots {
		p.slots, p.others = nil, nil
	}
	return call, true
}

// Forget drops the call with an id, if it is pending. Its entry stays until the answer comes, and counts.
func (p *Pending[C]) Forget(id int64) {
	if id <= 0 || len(p.slots) == 0 {
		return
	}
	if slot := p.slot(id); slot.id == id {
		slot.call = nil
	} else if p.others[id] != nil {
		p.others[id] = nil
	}
}

// Clear empties the table. It calls each with every call that was in it, and with nil for one that was cancelled.
func (p *Pending[C]) Clear(each func(*C)) {
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

// Oldest returns the id of the oldest pending call, and math.MaxInt64 if there is none.
func (p *Pending[C]) Oldest() int64 {
	if p.count == 0 {
		return math.MaxInt64
	}
	for !p.has(p.lowest) {
		p.lowest++
	}
	return p.lowest
}
