package table

import "math"

// Pending is the table of our calls that the peer has not answered, by request id. The zero Pending is empty.
type Pending[C any] struct {
	last   int64        // the last id that was given out
	lowest int64        // no call below it is pending
	peak   int          // the largest length since the table was empty
	calls  map[int64]*C // nil for a cancelled call
}

// maxIdlePending is the peak beyond which an empty table gives back its memory.
const maxIdlePending = 256

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
func (p *Pending[C]) Len() int { return len(p.calls) }

// Add adds a call with an id that Next returned.
func (p *Pending[C]) Add(id int64, call *C) {
	if len(p.calls) == 0 {
		p.lowest = id
	}
	if p.calls == nil {
		p.calls = map[int64]*C{}
	}
	p.calls[id] = call
	p.peak = max(p.peak, len(p.calls))
}

// Remove removes the call with an id. The call is nil if it was cancelled.
func (p *Pending[C]) Remove(id int64) (call *C, ok bool) {
	call, ok = p.calls[id]
	delete(p.calls, id)
	if len(p.calls) == 0 {
		if p.peak > maxIdlePending {
			p.calls = nil
		}
		p.peak = 0
	}
	return call, ok
}

// Forget drops the call with an id, and reports whether it was pending. Its entry stays until the answer comes, and
// counts.
func (p *Pending[C]) Forget(id int64) bool {
	if p.calls[id] == nil {
		return false
	}
	p.calls[id] = nil
	return true
}

// Clear empties the table. It calls each with every call that was in it, and with nil for one that was cancelled.
func (p *Pending[C]) Clear(each func(*C)) {
	calls := p.calls
	p.calls, p.peak = nil, 0
	for _, call := range calls {
		each(call)
	}
}

// Oldest returns the id of the oldest pending call, and math.MaxInt64 if there is none.
func (p *Pending[C]) Oldest() int64 {
	if len(p.calls) == 0 {
		return math.MaxInt64
	}
	for {
		if _, ok := p.calls[p.lowest]; ok {
			return p.lowest
		}
		p.lowest++
	}
}
