package jelly

import (
	"fmt"

	"github.com/perspectivebroker/pb/codec/banana"
)

// references holds the [reference id …] of one expression.
type references struct {
	// dense holds ids counted from 1, as senders do, and sparse all others. Whatever ids a peer sends, dense has at most
	// 2*met+denseSlack entries.
	dense  []refEntry
	sparse map[int64]*refEntry
	met    int // number of ids seen
	// pending are the references whose value has not begun.
	pending []int64
	// forwards are the slots that wait for a reference, in one list per reference.
	forwards []forward
	waiting  int // number of slots that still wait
}

type refEntry struct {
	value   any
	forward int // 1 + index of the last slot that waits for it
	met     bool
	begun   bool
	known   bool
	hash    hash
}

type forward struct {
	slot *any
	next int // like refEntry.forward
}

const denseSlack = 64

// keptReferences is the maximum capacity that is kept for the next frame.
const keptReferences = 1024

func (r *references) end() {
	if len(r.dense) == 0 && len(r.forwards) == 0 && r.sparse == nil {
		r.pending = r.pending[:0]
		return
	}
	clear(r.dense)
	clear(r.forwards)
	r.dense, r.forwards, r.pending = r.dense[:0], r.forwards[:0], r.pending[:0]
	if cap(r.dense) > keptReferences {
		r.dense = nil
	}
	if cap(r.forwards) > keptReferences {
		r.forwards = nil
	}
	r.sparse = nil
	r.waiting, r.met = 0, 0
}

// entry returns the entry for an id and creates it if necessary. The result is valid until the next call.
func (r *references) entry(id int64) *refEntry {
	if e := r.sparse[id]; e != nil {
		return e
	}
	if id < 1 || id > int64(2*r.met+denseSlack) {
		e := new(refEntry)
		if r.sparse == nil {
			r.sparse = map[int64]*refEntry{}
		}
		r.sparse[id] = e
		r.met++
		return e
	}
	for int64(len(r.dense)) < id {
		r.dense = append(r.dense, refEntry{})
	}
	e := &r.dense[id-1]
	if !e.met {
		e.met = true
		r.met++
	}
	return e
}

// missing returns an id for which a slot waits.
func (r *references) missing() int64 {
	for i := range r.dense {
		if r.dense[i].forward != 0 {
			return int64(i + 1)
		}
	}
	for id, e := range r.sparse {
		if e.forward != 0 {
			return id
		}
	}
	return 0
}

// settle sets the value of all pending references.
func (r *references) settle(v any, h hash) {
	for _, id := range r.pending {
		e := r.entry(id)
		e.value, e.known, e.hash = v, true, h
		for i := e.forward; i != 0; {
			f := r.forwards[i-1]
			putValue(f.slot, v)
			i = f.next
			r.waiting--
		}
		e.forward = 0
	}
	r.pending = r.pending[:0]
}

// putValue stores a value in another slot.
func putValue(slot *any, v any) {
	if u, ok := v.(*Unbound); ok {
		u.put(slot)
		return
	}
	*slot = v
}

// refID reads the id of a reference.
func (d *Decoder) refID(t tag) (int64, error) {
	at := d.r.Offset()
	token, err := d.r.Next()
	if err != nil {
		return 0, d.malformed(err)
	}
	if token.Kind != banana.Int {
		return 0, d.fail(at, fmt.Sprintf("%s needs an integer of 64 bits, not %s", t, token.Kind))
	}
	return token.Int, nil
}

// reference decodes [reference id value].
func (d *Decoder) reference(start, n int, slot *any) (hash, error) {
	id, err := d.refID(tagReference)
	if err != nil {
		return 0, err
	}
	e := d.refs.entry(id)
	if e.begun {
		return 0, d.fail(start, fmt.Sprintf("two references have the id %d", id))
	}
	e.begun = true
	d.refs.pending = append(d.refs.pending, id)
	h, err := d.value(slot)
	if err != nil {
		return 0, err
	}
	if h == unresolved {
		return 0, d.fail(start, fmt.Sprintf("reference %d is to a reference that has not been defined", id))
	}
	if len(d.refs.pending) > 0 {
		d.refs.settle(*slot, h) // The value is a number or a string.
	}
	d.refs.entry(id).hash = h
	return h, d.skip(n - 2)
}

// dereference decodes [dereference id].
func (d *Decoder) dereference(n int, slot *any) (hash, error) {
	d.dereferences++
	id, err := d.refID(tagDereference)
	if err != nil {
		return 0, err
	}
	if err := d.skip(n - 1); err != nil {
		return 0, err
	}
	e := d.refs.entry(id)
	if e.known {
		putValue(slot, e.value)
		return e.hash, nil
	}
	*slot = nil
	d.refs.forwards = append(d.refs.forwards, forward{slot, e.forward})
	e.forward = len(d.refs.forwards)
	d.refs.waiting++
	return unresolved, nil
}
