package jelly

import (
	"reflect"
	"slices"
	"unsafe"

	"github.com/perspectivebroker/pb/codec/banana"
)

// identity is what makes two mentions of a value one object: where it lies,
// how long it is, and its type, since a struct and its first field lie at
// one place. The zero identity belongs to what has none.
//
// It holds a pointer, not a number, so that nothing that was met can be
// collected, and its address be used again, before the call is over.
//
// The type is a number, because types are never collected.
type identity struct {
	at  unsafe.Pointer
	typ uintptr
	len int
}

// eface is how Go lays out a value of type any.
type eface struct{ typ, data unsafe.Pointer }

func unpack(v *any) *eface { return (*eface)(unsafe.Pointer(v)) }

// typeWord returns what the type word of a value of type t is.
func typeWord(t reflect.Type) unsafe.Pointer {
	v := any(t)
	return unpack(&v).data
}

// typeNumber is the type word as identities have it.
func typeNumber(t reflect.Type) uintptr { return uintptr(typeWord(t)) }

// isNilPointer reports whether v is a nil pointer, map, channel or function. It looks at the
// kind only where the data word is nil, which is rare.
func isNilPointer(v any) bool {
	if unpack(&v).data != nil || v == nil {
		return false
	}
	switch reflect.TypeOf(v).Kind() {
	case reflect.Pointer, reflect.Map, reflect.Chan, reflect.Func, reflect.UnsafePointer:
		return true
	}
	return false // A struct or an array of one pointer lies in the word itself.
}

// identityOf returns the identity of a pointer or map.
func identityOf(v any) identity {
	switch w := unpack(&v); reflect.ValueOf(v).Kind() {
	case reflect.Pointer:
		if reflect.TypeOf(v).Elem().Size() == 0 {
			return identity{} // All values without size may lie at one address.
		}
		return identity{at: w.data, typ: uintptr(w.typ)}
	case reflect.Map:
		return identity{at: w.data, typ: uintptr(w.typ)}
	}
	return identity{}
}

// pointerIdentity is identityOf for what is known to be a pointer to something with a size, or a map.
func pointerIdentity(v any) identity {
	w := unpack(&v)
	return identity{at: w.data, typ: uintptr(w.typ)}
}

// The type words of the two kinds of slices that are met most.
var (
	listWord  = typeNumber(reflect.TypeFor[[]any]())
	tupleWord = typeNumber(reflect.TypeFor[Tuple]())
)

// sliceIdentity is that of a slice of any, or of a type made of it. A slice without
// capacity lies nowhere and has no identity.
func sliceIdentity(typ uintptr, s []any) identity {
	if cap(s) == 0 {
		return identity{}
	}
	return identity{at: unsafe.Pointer(unsafe.SliceData(s)), typ: typ, len: len(s)}
}

// hash spreads identities over a table. Objects lie at multiples of eight.
func (id identity) hash() uint64 {
	return (uint64(uintptr(id.at))>>3 + uint64(id.len)<<40) * 0x9e3779b97f4a7c15
}

// sharing is what one jelly call knows of the objects that it has met, and
// what the fragment has to remember of it.
type sharing struct {
	// met has the objects of the call at work. The first are found by a scan; when there are more,
	// table finds them: a hash table of indexes in met, 1 added, with open addressing. Its length is
	// a power of two, at least twice that of met.
	met   []mention
	table []int32

	next int // the last reference id of this call
	most int // the largest one of the whole fragment

	// wraps are the objects that have an id, where each starts: sorted by
	// place for the calls that are done, in the order of their ids for the call at work.
	wraps []wrap
	first int // the index in wraps where the call at work begins
	grown int // bytes that the wraps will add
	// mentions are the places of ids behind "dereference", for renumbering.
	derefs []deref
}

type mention struct {
	id  identity
	at  int
	ref int
}

type wrap struct{ at, id int }

type deref struct{ at, end, id int }

// scanUpTo is how many objects a scan finds faster than a table does. 8 times it is a power of two.
const scanUpTo = 16

// meet notes that an object is about to be written. If it was met before, meet
// writes [dereference n] and returns true, and the second time it gives it its number: its
// first mention will be wrapped in [reference n …].
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
		s.enterFrom(0) // The table is from an earlier call, and empty.
	default:
		s.enterFrom(n - 1)
	}
	return false, nil
}

// find returns the index of an object that was met, or -1.
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

// enterFrom puts objects into the table, which has room for them: the one at index first and all behind it.
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

// leave takes all objects out of the table. Small messages should not have to clear a giant's, so that is done object
// by object: from the last one back, because then those that stood in its way when it was entered are still there.
func (s *sharing) leave() {
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

// end forgets the objects of a jelly call and sorts its wraps by place.
func (s *sharing) end(p banana.Profile) {
	if len(s.met) > scanUpTo {
		s.leave()
	}
	for i := range s.met {
		s.met[i].id.at = nil // Nothing else in a mention keeps anything alive, and clear would cost more for the few that there mostly are.
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
