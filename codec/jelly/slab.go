package jelly

import (
	"bytes"
	"reflect"
	"unsafe"

	"github.com/perspectivebroker/pb/codec/banana"
)

// The decoder stores values in slots of type any. For anything but the smallest
// integers that takes an allocation; what is here avoids some of them.

var (
	emptyBytes  any = []byte{}
	emptyString any = ""
	emptyTuple  any = Tuple{}
)

// boxBytes returns a []byte as a value.
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

// stringCache remembers short strings that were seen lately: the keys of
// dictionaries mostly, which come again in every message. Strings never change, so
// all messages may have the same.
type stringCache [128]any

// The longest string that is remembered.
const cachedString = 32

func (c *stringCache) box(b []byte) any {
	if len(b) == 0 {
		return emptyString
	}
	if len(b) > cachedString {
		return string(b)
	}
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

// slab is memory for the numbers of one long list, which would cost an
// allocation each. It is used for long lists only, because a number that is kept
// keeps its slab alive: so it is never more than what the list itself had taken.
//
// The zero slab is none: what is boxed has a place of its own.
type slab struct {
	left int // elements of the list that may still come
	free []int64
}

const (
	slabFrom  = 16  // shorter lists have none
	slabPairs = 6   // nor have smaller dictionaries, of which each pair takes as much as two elements
	slabSize  = 256 // places in one piece, at most
)

// on says whether there may be places.
func (s *slab) on() bool { return s.left > 0 || len(s.free) > 0 }

// refill sees to it that there is a free place. The slab must be on.
func (s *slab) refill() {
	if len(s.free) == 0 {
		n := min(s.left, slabSize)
		s.free = make([]int64, n)
		s.left -= n
	}
}

// The type words of what lies in a slab. Both types have eight bytes and no pointers.
var (
	int64Word   = typeWord(reflect.TypeFor[int64]())
	float64Word = typeWord(reflect.TypeFor[float64]())
)

// Those of lists and tuples.
var (
	listType  = typeWord(reflect.TypeFor[[]any]())
	tupleType = typeWord(reflect.TypeFor[Tuple]())
)

// box returns the number with these bits as a value of the type, without copying it again.
func (s *slab) box(typ unsafe.Pointer, bits uint64) any {
	s.refill()
	place := &s.free[0]
	s.free = s.free[1:]
	*place = int64(bits)
	var v any
	*unpack(&v) = eface{typ: typ, data: unsafe.Pointer(place)}
	return v
}

// ints reads the integers that elems begin with and returns how many these are.
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

// Short lists and tuples lie in one piece with the slice that they are, up to this length.
const shortList = 4

// shortSlice returns a slice of n elements, and as a value of that type of slice.
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
