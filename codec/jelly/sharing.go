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
type identity struct {
	at  unsafe.Pointer
	typ unsafe.Pointer
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

// isNilPointer reports whether v is a nil pointer, map, channel or function.
// It looks at the kind only where the data word is nil, which is rare.
func isNilPointer(v any) bool {
	return unpack(&v).data == nil && v != nil && reflect.TypeOf(v).Kind() != reflect.Struct
}

// identityOf returns the identity of a pointer or map.
func identityOf(v any) identity {
	switch w := unpack(&v); reflect.ValueOf(v).Kind() {
	case reflect.Pointer:
		if reflect.TypeOf(v).Elem().Size() == 0 {
			return identity{} // All values without size may lie at one address.
		}
		return identity{at: w.data, typ: w.typ}
	case reflect.Map:
		return identity{at: w.data, typ: w.typ}
	}
	return identity{}
}

// pointerIdentity is identityOf for what is known to be a pointer to something with a size, or a map.
func pointerIdentity(v any) identity {
	w := unpack(&v)
	return identity{at: w.data, typ: w.typ}
}

// sliceIdentity is that of a slice of any, or of a type made of it. A slice without
// capacity lies nowhere and has no identity.
func sliceIdentity(v any, s []any) identity {
	if cap(s) == 0 {
		return identity{}
	}
	return identity{at: unsafe.Pointer(unsafe.SliceData(s)), typ: unpack(&v).typ, len: len(s)}
}

// sharing is what one jelly call knows of the objects that it has met, and
// what the fragment has to remember of it.
type sharing struct {
	// The first objects are found by a scan, all others by the map: most messages
	// have only few and a map costs more.
	few  []mention
	many map[identity]int32 // index in few

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

const scanUpTo = 12

// meet notes that an object is about to be written. If it was met before, meet
// writes [dereference n] and returns true, and the second time it gives it its number: its
// first mention will be wrapped in [reference n …].
func (e *Encoder) meet(id identity) (bool, error) {
	if id.at == nil {
		return false, nil
	}
	s := &e.sharing
	if i := s.find(id); i >= 0 {
		m := &s.few[i]
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
	s.few = append(s.few, mention{id: id, at: len(e.buf)})
	switch n := len(s.few); {
	case n <= scanUpTo:
	case n == scanUpTo+1:
		if s.many == nil {
			s.many = make(map[identity]int32, 4*scanUpTo)
		}
		for i := range s.few {
			s.many[s.few[i].id] = int32(i)
		}
	default:
		s.many[id] = int32(n - 1)
	}
	return false, nil
}

// find returns the index of an object that was met, or -1.
func (s *sharing) find(id identity) int {
	if len(s.few) > scanUpTo {
		if i, ok := s.many[id]; ok {
			return int(i)
		}
		return -1
	}
	for i := range s.few {
		if s.few[i].id == id {
			return i
		}
	}
	return -1
}

// end forgets the objects of a jelly call and sorts its wraps by place.
func (s *sharing) end(p banana.Profile) {
	clear(s.few)
	if len(s.few) > scanUpTo {
		clear(s.many)
		if len(s.few) > 4096 {
			s.many = nil // A map never shrinks; do not carry one about for small messages.
		}
	}
	s.few = s.few[:0]
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
