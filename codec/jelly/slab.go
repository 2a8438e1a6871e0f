package jelly

import (
	"bytes"
	"reflect"
	"unsafe"

	"github.com/perspectivebroker/pb/codec/banana"
)

// Storing a value in a slot of type any allocates, except for the smallest integers. This file avoids some of these
// allocations.

var (
	emptyBytes  any = []byte{}
	emptyString any = ""
	emptyTuple  any = Tuple{}
)

// boxBytes returns a copy of b, or b itself if it may be aliased, as an interface value.
func (d *Decoder) boxBytes(b []byte) any {
	switch {
	case len(b) == 0:
		return emptyBytes
	case d.AliasFrom > 0 && len(b) >= d.AliasFrom:
		d.aliased = true
		return b
	}
	return bytes.Clone(b)
}

// boxInt returns an integer as an interface value.
func (d *Decoder) boxInt(n int64) any {
	if uint64(n) < 256 || !d.slab.on() {
		return n
	}
	return d.slab.box(int64Word, uint64(n))
}

// stringCache caches recent short strings: mostly keys of dictionaries, which recur in every message.
type stringCache [128]any

// cachedString is the maximum length of a cached string.
const cachedString = 32

// boxString returns the string as an interface value.
func (d *Decoder) boxString(b []byte) any {
	switch {
	case len(b) == 0:
		return emptyString
	case len(b) > cachedString:
		return string(b)
	case d.strings == nil:
		d.strings = new(stringCache)
	}
	return d.strings.box(b)
}

func (c *stringCache) box(b []byte) any {
	h := uint32(2166136261)
	for _, x := range b {
		h = (h ^ uint32(x)) * 16777619
	}
	place := &c[(h^h>>15)%uint32(len(c))]
	if s, ok := (*place).(string); ok && s == string(b) {
		return *place
	}
	v := any(string(b))
	*place = v
	return v
}

// slab allocates the numbers of one long list together: 1,000 integers are decoded in half the time
// (docs/performance.md). Short lists have no slab, because a number that is kept keeps its whole slab alive: that is
// never more memory than the list itself took.
//
// The zero slab is off: each number is allocated on its own.
type slab struct {
	left int // elements of the list still to come
	free []int64
}

const (
	slabFrom  = 16  // minimum length of a list with a slab
	slabPairs = 6   // minimum length of a dictionary with a slab; a pair takes as much memory as two elements
	slabSize  = 256 // maximum number of places allocated at once
)

// on reports whether numbers are allocated in the slab.
func (s *slab) on() bool { return s.left > 0 || len(s.free) > 0 }

// refill ensures that there is a free place. The slab must be on.
func (s *slab) refill() {
	if len(s.free) == 0 {
		n := min(s.left, slabSize)
		s.free = make([]int64, n)
		s.left -= n
	}
}

// The type words of the types in a slab. Both have eight bytes and no pointers.
var (
	int64Word   = typeWord(reflect.TypeFor[int64]())
	float64Word = typeWord(reflect.TypeFor[float64]())
)

// The type words of lists and tuples.
var (
	listType  = typeWord(reflect.TypeFor[[]any]())
	tupleType = typeWord(reflect.TypeFor[Tuple]())
)

// box returns the number with these bits as a value of the type.
func (s *slab) box(typ unsafe.Pointer, bits uint64) any {
	s.refill()
	place := &s.free[0]
	s.free = s.free[1:]
	*place = int64(bits)
	var v any
	*unpack(&v) = eface{typ: typ, data: unsafe.Pointer(place)}
	return v
}

// ints decodes the integers at the beginning of elems and returns their number.
func (s *slab) ints(r *banana.Reader, elems []any) (done int) {
	for s.on() && done < len(elems) {
		s.refill()
		places := s.free[:min(len(s.free), len(elems)-done)]
		n := r.Ints(places)
		for i := range places[:n] {
			*unpack(&elems[done+i]) = eface{typ: int64Word, data: unsafe.Pointer(&places[i])}
		}
		done += n
		s.free = s.free[n:]
		if n < len(places) {
			break
		}
	}
	return done
}

// shortList is the maximum length of a list or tuple that is allocated together with its slice header. Two integers are
// decoded 16 % faster that way.
const shortList = 4

// shortSlice returns a slice of n elements, and the same slice as a value of the type typ.
func shortSlice(typ unsafe.Pointer, n int) ([]any, any) {
	var (
		head *[]any
		v    any
	)
	switch n {
	case 1:
		x := new(struct {
			head  []any
			elems [1]any
		})
		head, x.head = &x.head, x.elems[:]
	case 2:
		x := new(struct {
			head  []any
			elems [2]any
		})
		head, x.head = &x.head, x.elems[:]
	case 3:
		x := new(struct {
			head  []any
			elems [3]any
		})
		head, x.head = &x.head, x.elems[:]
	default:
		x := new(struct {
			head  []any
			elems [shortList]any
		})
		head, x.head = &x.head, x.elems[:]
	}
	*unpack(&v) = eface{typ: typ, data: unsafe.Pointer(head)}
	return *head, v
}
