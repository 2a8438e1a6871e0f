package jelly

import (
	"bytes"
	"reflect"
	"unsafe"
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
	case d.Alias:
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
type slab struct {
	left int // elements of the list that may still come
	free []uint64
}

const (
	slabFrom = 16  // shorter lists have none
	slabSize = 128 // places in one piece, at most
)

// The type words of what lies in a slab. Both types have eight bytes and no pointers.
var (
	int64Word   = typeWord(reflect.TypeFor[int64]())
	float64Word = typeWord(reflect.TypeFor[float64]())
)

// box returns the number with these bits as a value of the type, without copying it again.
func (s *slab) box(typ unsafe.Pointer, bits uint64) any {
	if len(s.free) == 0 {
		n := min(max(s.left, 1), slabSize)
		s.free = make([]uint64, n)
		s.left -= n
	}
	place := &s.free[0]
	s.free = s.free[1:]
	*place = bits
	var v any
	*unpack(&v) = eface{typ: typ, data: unsafe.Pointer(place)}
	return v
}
