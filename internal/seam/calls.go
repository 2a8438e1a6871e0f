package seam

import (
	"math/big"
	"sync"
	"sync/atomic"
)

// Calls has the unanswered calls of a peer, so that the peer can cancel them. Add and Take belong to the broker's turn;
// Remove may be called by any goroutine. The zero Calls is empty and ready for use.
//
// A call costs two atomic operations if its id falls into a free slot, as it does for nearly all: ids are consecutive.
type Calls struct {
	few  *slots // made with the first call
	many *slots // made with the first call whose slot among few is taken

	mu   sync.Mutex
	rest map[callID]*CallEntry // guarded by mu: calls that have no slot
}

// The numbers of slots.
const (
	fewSlots  = 64
	manySlots = 1024
)

type slots struct {
	calls []atomic.Pointer[CallEntry]
	ids   []int64 // of the latest call in each slot; for the broker's turn only
}

// callID is the id of a call. If long is not empty, it counts.
type callID struct {
	short int64
	long  string
}

func idOf(id int64, long *big.Int) callID {
	if long != nil {
		return callID{long: long.String()}
	}
	return callID{short: id}
}

// CallEntry is the place of a call in Calls. It is part of the call.
type CallEntry struct {
	Call Call
	slot *atomic.Pointer[CallEntry] // nil if the call is among the rest, or in no table
}

// Add adds a call that wants an answer.
func (c *Calls) Add(e *CallEntry) {
	id := e.Call.RequestID()
	if e.Call.LongRequestID() == nil {
		if c.few == nil {
			c.few = newSlots(fewSlots)
		}
		if c.few.add(e, id) {
			return
		}
		if c.many == nil {
			c.many = newSlots(manySlots)
		}
		if c.many.add(e, id) {
			return
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rest == nil {
		c.rest = map[callID]*CallEntry{}
	}
	c.rest[idOf(id, e.Call.LongRequestID())] = e
}

// Remove takes out a call that was added. It reports false if Take has taken it, or another call with the same id has
// its place: then the broker may still use it.
func (c *Calls) Remove(e *CallEntry) bool {
	if slot := e.slot; slot != nil {
		return slot.CompareAndSwap(e, nil)
	}
	id := idOf(e.Call.RequestID(), e.Call.LongRequestID())
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rest[id] != e {
		return false
	}
	delete(c.rest, id)
	return true
}

// Take takes out and returns the call with an id, nil if there is none. The call may be answered at any moment.
func (c *Calls) Take(id int64, long *big.Int) Call {
	if long == nil {
		for _, s := range []*slots{c.few, c.many} {
			if e := s.take(id); e != nil {
				return e.Call
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	key := idOf(id, long)
	e := c.rest[key]
	if e == nil {
		return nil
	}
	delete(c.rest, key)
	return e.Call
}

// TakeAll takes out all calls and gives them to f. It belongs to the broker's turn.
func (c *Calls) TakeAll(f func(Call)) {
	c.few.takeAll(f)
	c.many.takeAll(f)
	c.mu.Lock()
	rest := c.rest
	c.rest = nil
	c.mu.Unlock()
	for _, e := range rest {
		f(e.Call)
	}
}

func newSlots(n int) *slots { return &slots{make([]atomic.Pointer[CallEntry], n), make([]int64, n)} }

func (s *slots) add(e *CallEntry, id int64) bool {
	i := int(id & int64(len(s.ids)-1))
	slot := &s.calls[i]
	if slot.Load() != nil {
		return false
	}
	e.slot = slot
	s.ids[i] = id
	slot.Store(e)
	return true
}

// take claims the slot before it looks at the call, which would otherwise be used again once it is answered.
func (s *slots) take(id int64) *CallEntry {
	if s == nil {
		return nil
	}
	i := int(id & int64(len(s.ids)-1))
	e := s.calls[i].Load()
	if e == nil || s.ids[i] != id || !s.calls[i].CompareAndSwap(e, nil) {
		return nil
	}
	return e
}

func (s *slots) takeAll(f func(Call)) {
	if s == nil {
		return
	}
	for i := range s.calls {
		if e := s.calls[i].Swap(nil); e != nil {
			f(e.Call)
		}
	}
}
