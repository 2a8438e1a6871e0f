package jelly

import (
	"reflect"
	"slices"
	"unsafe"

	"github.com/perspectivebroker/pb/codec/banana"
)

// identity identifies an object: its address, its length, and its type, because a struct and its first field have one
// address. The zero identity means that a value has none.
//
// It holds a pointer rather than a number so that the object is not collected and its address not reused during the
// call. The type may be a number, because types are never collected.
type identity struct {
	at  unsafe.Pointer
	typ uintptr
	len int
}

// eface is the memory layout of a value of type any. Reading the words directly, instead of by reflection, makes
// encoding two integers 3 % faster and a graph of 10,000 lists 11 % (docs/performance.md).
type eface struct{ typ, data unsafe.Pointer }

func unpack(v *any) *eface { return (*eface)(unsafe.Pointer(v)) }

// typeWord returns the type word of values of type t.
func typeWord(t reflect.Type) unsafe.Pointer {
	v := any(t)
	return unpack(&v).data
}

// typeNumber returns the type word as a number.
func typeNumber(t reflect.Type) uintptr { return uintptr(typeWord(t)) }

// isNil reports whether v is a nil pointer, map, channel or function.
func isNil(v any) bool {
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Chan, reflect.Func, reflect.UnsafePointer:
		return r.IsNil()
	}
	return false
}

// identityOf returns the identity of a pointer or map.
func identityOf(v any) identity {
	switch w := unpack(&v); reflect.ValueOf(v).Kind() {
	case reflect.Pointer:
		if reflect.TypeOf(v).Elem().Size() == 0 {
			return identity{} // All values of size zero may have one address.
		}
		return identity{at: w.data, typ: uintptr(w.typ)}
	case reflect.Map:
		return identity{at: w.data, typ: uintptr(w.typ)}
	}
	return identity{}
}

// pointerIdentity is identityOf for a map or a pointer to a type whose size is not zero.
func pointerIdentity(v any) identity {
	w := unpack(&v)
	return identity{at: w.data, typ: uintptr(w.typ)}
}

// The type numbers of the most frequent slices.
var (
	listWord  = typeNumber(reflect.TypeFor[[]any]())
	tupleWord = typeNumber(reflect.TypeFor[Tuple]())
)

// sliceIdentity returns the identity of a slice of the type with this number. A slice without capacity has none.
func sliceIdentity[T any](typ uintptr, s []T) identity {
	if cap(s) == 0 {
		return identity{}
	}
	return identity{at: unsafe.Pointer(unsafe.SliceData(s)), typ: typ, len: len(s)}
}

// hash spreads identities over a table. Addresses of objects are multiples of eight.
func (id identity) hash() uint64 {
	return (uint64(uintptr(id.at))>>3 + uint64(id.len)<<40) * 0x9e3779b97f4a7c15
}

// sharing holds the objects met in the current jelly call, and the fragment's references.
type sharing struct {
	// met are the objects of the current call. Up to scanUpTo of them are found by a linear scan, more by table: a
	// hash table of indexes in met, plus 1, with open addressing. Its length is a power of two, at least twice
	// that of met.
	met   []mention
	table []int32

	next int // the last reference id of the current call
	most int // the largest reference id of the fragment

	// wraps are the positions of the objects with an id: sorted by position for completed calls, by id for the
	// current call.
	wraps []wrap
	first int // index in wraps of the current call's first
	grown int // bytes that the wraps will add
	// derefs are the positions of the ids after "dereference", for renumbering.
	derefs []deref
}

type mention struct {
	id  identity
	at  int
	ref int
}

type wrap struct{ at, id int }

type deref struct{ at, end, id int }

// scanUpTo is the number of objects up to which a scan is faster than a table. 8*scanUpTo is a power of two.
const scanUpTo = 16

// meet registers an object that is about to be written. If it was met before in this call, meet writes [dereference
// n] and returns true. The second meeting gives the object its id n, and Append will wrap its first occurrence in
// [reference n …].
func (e *Encoder) meet(id identity) (bool, error) {
	if id.at == nil {
		return false, nil
	}
	s := &e.sharing
	if i := s.find(id); i >= 0 {
		m := &s.met[i]
		if m.ref == 0 {
			s.next++
			m.ref = s.next
			s.wraps = append(s.wraps, wrap{m.at, m.ref})
		}
		if err := e.open(banana.SymDereference, 1); err != nil {
			return true, err
		}
		e.close()
		at := len(e.buf)
		e.Int(int64(m.ref))
		s.derefs = append(s.derefs, deref{at, len(e.buf), m.ref})
		return true, nil
	}
	if len(s.met) == cap(s.met) {
		s.met = slices.Grow(s.met, 1)
	}
	s.met = s.met[:len(s.met)+1]
	m := &s.met[len(s.met)-1]
	m.id.at, m.id.typ, m.id.len, m.at, m.ref = id.at, id.typ, id.len, len(e.buf), 0
	switch n := len(s.met); {
	case n <= scanUpTo:
	case 2*n > len(s.table):
		s.table = make([]int32, max(8*scanUpTo, 4*len(s.table)))
		s.enterFrom(0)
	case n == scanUpTo+1:
		s.enterFrom(0) // The table is left from an earlier call, and empty.
	default:
		s.enterFrom(n - 1)
	}
	return false, nil
}

// find returns the index in met of an object, or -1.
func (s *sharing) find(id identity) int {
	if len(s.met) <= scanUpTo {
		for i := range s.met {
			if s.met[i].id == id {
				return i
			}
		}
		return -1
	}
	mask := uint64(len(s.table) - 1)
	for h := id.hash() >> 32; ; h++ {
		i := s.table[h&mask]
		if i == 0 {
			return -1
		}
		if s.met[i-1].id == id {
			return int(i - 1)
		}
	}
}

// enterFrom puts the objects from index first on into the table, which has room for them.
func (s *sharing) enterFrom(first int) {
	mask := uint64(len(s.table) - 1)
	for i := first; i < len(s.met); i++ {
		h := s.met[i].id.hash() >> 32
		for s.table[h&mask] != 0 {
			h++
		}
		s.table[h&mask] = int32(i + 1)
	}
}

// clearTable removes all objects from the table. If they are few, it removes one by one, so that a small message does
// not pay for an earlier large one. It goes backwards, so that each object's probe sequence is still as it was on
// entry.
func (s *sharing) clearTable() {
	if len(s.met) > len(s.table)/16 {
		clear(s.table)
		return
	}
	mask := uint64(len(s.table) - 1)
	for i := len(s.met) - 1; i >= 0; i-- {
		h := s.met[i].id.hash() >> 32
		for s.table[h&mask] != int32(i+1) {
			h++
		}
		s.table[h&mask] = 0
	}
}

// end drops the objects of a jelly call and sorts its wraps by position.
func (s *sharing) end(p banana.Profile) {
	if len(s.met) > scanUpTo {
		s.clearTable()
	}
	for i := range s.met {
		s.met[i].id.at = nil // The only pointer in a mention; clear would cost more for a few.
	}
	s.met = s.met[:0]
	s.most = max(s.most, s.next)
	mine := s.wraps[s.first:]
	if len(mine) == 0 {
		return
	}
	slices.SortFunc(mine, func(a, b wrap) int { return a.at - b.at })
	for _, w := range mine {
		s.grown += wrapSize(p, w.id)
	}
}

func appendWrap(b []byte, p banana.Profile, id int) []byte {
	return banana.AppendInt(banana.AppendSymbol(banana.AppendList(b, 3), p, banana.SymReference), int64(id))
}

func wrapSize(p banana.Profile, id int) int {
	var scratch [32]byte
	return len(appendWrap(scratch[:0], p, id))
}
