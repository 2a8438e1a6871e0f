package jelly

import "iter"

// AllHoles ranges over the payloads of the fragment's holes, in the order in which Append will fill them.
func (f *Fragment) AllHoles() iter.Seq[any] {
	return func(yield func(any) bool) {
		for _, h := range f.e.holes {
			if !yield(h.payload) {
				return
			}
		}
	}
}

// HoleUser is implemented by the payload of a hole that needs to know when the fragment has done with it: when the
// fragment is freed, or when the jelly call that made the hole fails.
type HoleUser interface{ HoleDone() }

// dropHoles forgets the holes from the one with this index on.
func (e *Encoder) dropHoles(from int) {
	for _, h := range e.holes[from:] {
		if u, ok := h.payload.(HoleUser); ok {
			u.HoleDone()
		}
	}
	clear(e.holes[from:])
	e.holes = e.holes[:from]
}

// Personal reports whether the fragment may be different for another connection or perspective: whether it
// has holes, or something in it asked whom it is encoded for.
func (f *Fragment) Personal() bool { return f.e.personal || len(f.e.holes) > 0 }
