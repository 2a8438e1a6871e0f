package jelly

import (
	"reflect"
	"sync"
	"unicode/utf8"
	"unsafe"

	"github.com/perspectivebroker/pb/codec/banana"
)

// directStruct decodes the fields of a struct type with pb tags.
type directStruct struct {
	typ    reflect.Type
	size   uintptr
	assign *Assigner
	fields []directField
	byName map[string]int
}

type directField struct {
	head   string // of the pair: the list and the key, as they are usually sent
	offset uintptr
	direct *Direct
}

// maxDirectFields is the maximum number of fields: a bit mask notes which have come.
const maxDirectFields = 64

// directStructs caches the directStruct of each type.
var directStructs sync.Map // reflect.Type -> *directStruct, or nil

// directStructOf returns nil for a type that has no fields with pb tags, or one behind an embedded pointer.
func directStructOf(t reflect.Type) *directStruct {
	if t.Kind() != reflect.Struct {
		return nil
	}
	if s, ok := directStructs.Load(t); ok {
		return s.(*directStruct)
	}
	s, _ := directStructs.LoadOrStore(t, newDirectStruct(t))
	return s.(*directStruct)
}

func newDirectStruct(t reflect.Type) *directStruct {
	plan := planOf(t)
	if plan.err != nil || len(plan.fields) == 0 || len(plan.fields) > maxDirectFields {
		return nil
	}
	s := &directStruct{
		typ: t, size: t.Size(), assign: AssignerFor(t), byName: plan.byName, fields: make([]directField, len(plan.fields)),
	}
	for i := range plan.fields {
		f, to := &plan.fields[i], &s.fields[i]
		for at, n := 0, t; at < len(f.index); at++ {
			if n.Kind() != reflect.Struct {
				return nil
			}
			inner := n.Field(f.index[at])
			to.offset += inner.Offset
			n = inner.Type
		}
		to.direct = compiledFor(f.typ)
		to.head = "\x02\x80\x02\x80" + unicodeWord + string(banana.AppendBytes(nil, banana.ProfileNone, []byte(f.name)))
		if !utf8.ValidString(f.name) {
			return nil
		}
	}
	return s
}

func (s *directStruct) decode(d *Decoder, at unsafe.Pointer) bool {
	n, ok := d.pairs()
	if !ok {
		return d.convert(s.assign, at)
	}
	_, ok = s.set(d, n, at, false)
	return ok
}

// pointer decodes into a new struct and stores its address. a is for the type of the pointer.
func (s *directStruct) pointer(d *Decoder, a *Assigner, at unsafe.Pointer) bool {
	n, ok := d.pairs()
	switch {
	case !ok:
		return d.convert(a, at)
	case !d.take(1, s.size):
		return false
	}
	made := reflect.New(s.typ).UnsafePointer()
	*(*unsafe.Pointer)(at) = made
	_, ok = s.set(d, n, made, false)
	return ok
}

// keywords decodes a dictionary whose keys must all be fields, and returns which have come.
func (s *directStruct) keywords(d *Decoder, at unsafe.Pointer) (seen uint64, ok bool) {
	n, ok := d.pairs()
	if !ok {
		return 0, false
	}
	return s.set(d, n, at, true)
}

// set decodes n pairs into the struct at a place. all says that each must be a field. A field that comes twice, or a
// key that is no str, is left to the general way.
func (s *directStruct) set(d *Decoder, n int, at unsafe.Pointer, all bool) (seen uint64, ok bool) {
	if !d.enterPairs(n) {
		return 0, false
	}
	usual := d.depth > 0 && d.allowed[tagUnicode]
	next := 0
	for range n {
		i := next
		if !usual || i == len(s.fields) || !d.r.Take(s.fields[i].head) {
			if i, ok = s.key(d); !ok {
				return 0, false
			}
		}
		if i < 0 {
			if d.direct.slot = nil; all || !d.plain(&d.direct.slot) {
				return 0, false
			}
			continue
		}
		if seen&(1<<i) != 0 {
			return 0, false
		}
		seen |= 1 << i
		f := &s.fields[i]
		if !f.direct.decode(d, unsafe.Add(at, f.offset)) {
			return 0, false
		}
		next = i + 1
	}
	d.leavePairs()
	return seen, true
}

// key reads the head of a pair and its key, a str, and returns the index of the field, -1 if there is none.
func (s *directStruct) key(d *Decoder) (i int, ok bool) {
	if !d.nextPair() {
		return 0, false
	}
	name, ok := d.usualText()
	if !ok {
		return 0, false
	}
	if i, ok = s.byName[string(name)]; ok {
		return i, true
	}
	return -1, utf8.Valid(name)
}
