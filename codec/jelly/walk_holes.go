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

// Personal reports whether the fragment may be different for another connection or perspective: whether it
// has holes, or something in it asked whom it is encoded for.
func (f *Fragment) Personal() bool { return f.e.personal || len(f.e.holes) > 0 }
