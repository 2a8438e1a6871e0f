package table

import "math"

// Pending is the table of our calls that the peer has not answered, by request id. The zero Pending is empty.
//
// Ids are consecutive and most calls are answered soon, so nearly all calls fit into slots, one for each remainder of
// the id. A call whose slot is taken is in a map.
type Pending[C any] struct {
	last   int64 // the last id that was given out
	lowest int64 // no call below it is pending
	length int
	peak   int              // the largest length since the table was empty
	slots  []pendingSlot[C] // a power of two; nil while there is no call
	rest   map[int64]*C     // nil for a cancelled call
}

// pendingSlot has a call; nil for a cancelled one.
type pendingSlot[C any] struct {
	id   int64 // 0 if the slot is free
	call *C
}

const (
	// fewPending is how many slots an idle table keeps, and mostPending how many there are at most.
	fewPending, mostPending = 16, 1024
	// maxIdlePending is the peak beyond which an empty table gives back its memory.
	maxIdlePending = 256
)

// Next returns the next request id, beginning with 1.
func (p *Pending[C]) Next() int64 {
	p.last++
	return p.last
}

// NextOf returns the next request id that has a remainder by a power of two.
func (p *Pending[C]) NextOf(remainder, by int64) int64 {
	p.last = nextOf(p.last, remainder, by)
	return p.last
}

// Last returns the last id that Next returned.
func (p *Pending[C]) Last() int64 { return p.last }

// Len returns how many calls are pending.
func (p *Pending[C]) Len() int { return p.length }

// Add adds a call with an id that Next returned.
func (p *Pending[C]) Add(id int64, call *C) {
	if p.length == 0 {
		p.lowest = id
	}
	p.length++
	p.peak = max(p.peak, p.length)
	if p.length > len(p.slots)/2 && len(p.slots) < mostPending {
		p.grow()
	}
	if slot := p.slot(id); slot.id == 0 {
		*slot = pendingSlot[C]{id, call}
		return
	}
	if p.rest == nil {
		p.rest = map[int64]*C{}
	}
	p.rest[id] = call
}

// grow doubles the number of slots.
func (p *Pending[C]) grow() {
	old := p.slots
	p.slots = make([]pendingSlot[C], max(fewPending, 2*len(old)))
	for _, s := range old {
		if s.id != 0 {
			*p.slot(s.id) = s // No two of them share a slot now: they did not before.
		}
	}
}

func (p *Pending[C]) slot(id int64) *pendingSlot[C] { return &p.slots[int(id)&(len(p.slots)-1)] }

// find returns the slot of a call; nil if it has none.
func (p *Pending[C]) find(id int64) *pendingSlot[C] {
	if len(p.slots) == 0 || id == 0 {
		return nil
	}
	if slot := p.slot(id); slot.id == id {
		return slot
	}
	return nil
}

// Remove removes the call with an id. The call is nil if it was cancelled.
func (p *Pending[C]) Remove(id int64) (call *C, ok bool) {
	if slot := p.find(id); slot != nil {
		call = slot.call
		*slot = pendingSlot[C]{}
	} else if call, ok = p.rest[id]; ok {
		delete(p.rest, id)
	} else {
		return nil, false
	}
	if p.length--; p.length == 0 {
		if p.peak > maxIdlePending {
			p.slots, p.rest = nil, nil
		}
		p.peak = 0
	}
	return call, true
}

// Forget drops the call with an id, and reports whether it was pending. Its entry stays until the answer comes, and
// counts.
func (p *Pending[C]) Forget(id int64) bool {
	if slot := p.find(id); slot != nil {
		was := slot.call != nil
		slot.call = nil
		return was
	}
	if p.rest[id] == nil {
		return false
	}
	p.rest[id] = nil
	return true
}

// Clear empties the table. It calls each with every call that was in it, and with nil for one that was cancelled.
func (p *Pending[C]) Clear(each func(*C)) {
	slots, rest := p.slots, p.rest
	p.slots, p.rest, p.length, p.peak = nil, nil, 0, 0
	for _, s := range slots {
		if s.id != 0 {
			each(s.call)
		}
	}
	for _, call := range rest {
		each(call)
	}
}

// Oldest returns the id of the oldest pending call, and math.MaxInt64 if there is none.
func (p *Pending[C]) Oldest() int64 {
	if p.length == 0 {
		return math.MaxInt64
	}
	for {
		if p.find(p.lowest) != nil {
			return p.lowest
		}
		if _, ok := p.rest[p.lowest]; ok {
			return p.lowest
		}
		p.lowest++
	}
}
