package table

import (
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/seam"
)

// internal is what package flavors has for the broker and not for users.
var internal = flavors.Internal.Export(seam.Token{})

// weakReference is a reference that the table does not keep alive.
type weakReference interface {
	// Value returns the reference, nil if it has been collected.
	Value() *flavors.RemoteReference
	// IsReleased reports whether the last receipt has been given back. A reference that has ended may not be released.
	IsReleased() bool
	// Sweep releases the reference if it has been collected.
	Sweep()
}

// Imports is the table of references to the peer's objects that this side may still hold. It keeps none of them alive:
// an unused reference is collected, and its receipts are given back. The zero Imports is empty.
type Imports struct {
	refs   map[ImportKey]weakReference
	extras map[ImportKey]int // bytes on the wire of what references carry, those that carry something
	carry  int               // the sum of extras

	perspectives map[any]int // how many entries have each

	free map[ImportKey]struct{} // those of which the peer hands out any number
}

// ImportKey is what a reference is found by.
type ImportKey struct {
	ID          int64 // the peer's
	Perspective any
}

// Has reports whether there is an entry for a number, under any perspective.
func (x *Imports) Has(id int64) bool {
	for p := range x.perspectives {
		if _, ok := x.refs[ImportKey{id, p}]; ok {
			return true
		}
	}
	return false
}

// Len returns how many entries the table has.
func (x *Imports) Len() int { return len(x.refs) }

// Limited returns how many entries are not free.
func (x *Imports) Limited() int { return len(x.refs) - len(x.free) }

// Free notes that the peer hands out any number of such objects.
func (x *Imports) Free(key ImportKey) {
	if x.free == nil {
		x.free = map[ImportKey]struct{}{}
	}
	x.free[key] = struct{}{}
}

// ExtrasSize returns how many bytes on the wire the references carry beside their classes and numbers.
func (x *Imports) ExtrasSize() int { return x.carry }

// Carry sets what the latest mention of a reference carried, and how many bytes the extras had.
func (x *Imports) Carry(key ImportKey, ref *flavors.RemoteReference, class string, extras []any, size int) {
	internal.Carry(ref, class, extras)
	if had, ok := x.extras[key]; ok || size > 0 {
		if x.extras == nil {
			x.extras = map[ImportKey]int{}
		}
		x.extras[key] = size
		x.carry += size - had
	}
}

// Receive notes one receipt of an object and returns the reference to it. It returns nil, and notes nothing, if that
// would make more than limit entries.
func (x *Imports) Receive(c seam.Conn, key ImportKey, limit int) *flavors.RemoteReference {
	last, known := x.refs[key]
	if known {
		if ref := last.Value(); ref != nil && internal.Receive(ref) {
			return ref
		}
	}
	if !known && len(x.refs) >= limit {
		return nil
	}
	if x.refs == nil {
		x.refs, x.perspectives = map[ImportKey]weakReference{}, map[any]int{}
	}
	if !known {
		x.perspectives[key.Perspective]++
	}
	ref := internal.NewRemoteReference(c, key.ID, key.Perspective)
	x.refs[key] = internal.Weak(ref)
	return ref
}

// Forget removes the entry of a reference whose receipts were given back, unless the object has been received again
// since.
func (x *Imports) Forget(key ImportKey) {
	entry := x.refs[key]
	if entry == nil {
		return
	}
	if entry.Value() == nil || entry.IsReleased() {
		x.carry -= x.extras[key]
		delete(x.extras, key)
		delete(x.refs, key)
		delete(x.free, key)
		if x.perspectives[key.Perspective]--; x.perspectives[key.Perspective] == 0 {
			delete(x.perspectives, key.Perspective)
		}
	}
}

// Sweep gives back the receipts of references that were collected.
func (x *Imports) Sweep() {
	for _, ref := range x.refs {
		ref.Sweep()
	}
}

// Clear removes all entries.
func (x *Imports) Clear() { *x = Imports{} }
