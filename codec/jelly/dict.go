package jelly

import (
	"encoding/binary"
	"iter"
	"math"
	"math/big"
	"reflect"
	"slices"
	"sync/atomic"
	"time"
	"unsafe"
)

// Entry is a pair of a Dict.
type Entry struct{ Key, Value any }

// Dict is a Python dictionary: pairs in the order in which they were sent, with keys of any hashable type. Equal keys
// are kept; Get returns the last of them, as Python does. A nil *Dict is an empty dictionary for methods that only
// read.
//
// Methods that only read may be called concurrently.
type Dict struct {
	entries []Entry
	// index maps scalar keys of large dictionaries to entries, and tuples keys that are tuples. Each is built by the
	// first Get that needs it.
	index, tuples atomic.Pointer[map[hashKey]int]
}

// indexFrom is the number of entries up to which a scan is cheaper than an index.
const indexFrom = 8

// NewDict returns a dictionary with these pairs.
func NewDict(entries ...Entry) *Dict { return &Dict{entries: entries} }

// Len returns the number of pairs.
func (d *Dict) Len() int {
	if d == nil {
		return 0
	}
	return len(d.entries)
}

// Entries returns the pairs, not a copy. Do not change the keys.
func (d *Dict) Entries() []Entry {
	if d == nil {
		return nil
	}
	return d.entries
}

// All returns an iterator over the pairs.
func (d *Dict) All() iter.Seq2[any, any] {
	return func(yield func(any, any) bool) {
		for _, e := range d.Entries() {
			if !yield(e.Key, e.Value) {
				return
			}
		}
	}
}

// Get returns the value for key, and whether there is one. Keys are compared as in Python: 1, 1.0 and true are equal,
// "a" and []byte("a") are not. Tuples of scalars are compared by value, other keys by pointer.
func (d *Dict) Get(key any) (any, bool) {
	if i := d.find(key); i >= 0 {
		return d.entries[i].Value, true
	}
	return nil, false
}

// GetName is like [Dict.Get] for a name, which Python 3 peers send as str and Python 2 peers as bytes.
func (d *Dict) GetName(name string) (any, bool) {
	if v, ok := d.Get(name); ok {
		return v, true
	}
	return d.Get([]byte(name))
}

// Set replaces the value for key, or appends a pair.
func (d *Dict) Set(key, value any) {
	if i := d.find(key); i >= 0 {
		d.entries[i].Value = value
		return
	}
	d.entries = append(d.entries, Entry{key, value})
	// Update existing indexes: rebuilding them for each Set would be quadratic.
	for _, p := range []*atomic.Pointer[map[hashKey]int]{&d.index, &d.tuples} {
		if m := p.Load(); m != nil {
			enterKey(*m, key, len(d.entries)-1, p == &d.tuples)
		}
	}
}

// Delete removes all pairs with the key.
func (d *Dict) Delete(key any) {
	if d.find(key) < 0 {
		return
	}
	want, _ := hashKeyOf(key)
	d.entries = slices.DeleteFunc(d.entries, func(e Entry) bool { return keyIs(e.Key, want) })
	d.index.Store(nil)
	d.tuples.Store(nil)
}

// find returns the index of the last entry with the key, or -1.
func (d *Dict) find(key any) int {
	if d == nil || len(d.entries) == 0 {
		return -1
	}
	want, ok := hashKeyOf(key)
	if !ok {
		return -1
	}
	if len(d.entries) <= indexFrom || len(want.text) > longKey && want.kind != 't' {
		for i := len(d.entries) - 1; i >= 0; i-- {
			if keyIs(d.entries[i].Key, want) {
				return i
			}
		}
		return -1
	}
	index := &d.index
	if want.kind == 't' {
		index = &d.tuples
	}
	m := index.Load()
	if m == nil {
		made := make(map[hashKey]int)
		for i := range d.entries {
			enterKey(made, d.entries[i].Key, i, want.kind == 't')
		}
		// Two goroutines may build equal indexes.
		m = &made
		index.Store(m)
	}
	if i, ok := (*m)[want]; ok {
		return i
	}
	return -1
}

// longKey is the length above which a text is not indexed but searched for: to hash it for each of many dictionaries
// that share it would be quadratic, while texts of different lengths compare in constant time.
const longKey = 256

// enterKey adds a key to an index, of tuples or of other keys. Tuples have a separate index because their forms are
// long.
func enterKey(m map[hashKey]int, key any, i int, tuples bool) {
	if _, isTuple := key.(Tuple); isTuple != tuples {
		return
	}
	if k, ok := hashKeyOf(key); ok && (tuples || len(k.text) <= longKey) {
		m[k] = i
	}
}

// keyIs reports whether key has the form want. It makes the form of a tuple only to compare it with another tuple.
func keyIs(key any, want hashKey) bool {
	if _, isTuple := key.(Tuple); isTuple != (want.kind == 't') {
		return false
	}
	k, ok := hashKeyOf(key)
	return ok && k == want
}

// members is the common part of Set and FrozenSet.
type members struct{ list []any }

// Len returns the number of members, including duplicates.
func (m *members) Len() int { return len(m.list) }

// Members returns the members, not a copy, in the order in which they were sent.
func (m *members) Members() []any { return m.list }

// All returns an iterator over the members.
func (m *members) All() iter.Seq[any] {
	return func(yield func(any) bool) {
		for _, v := range m.list {
			if !yield(v) {
				return
			}
		}
	}
}

// Has reports whether v is a member. It compares as [Dict.Get] does and takes linear time.
func (m *members) Has(v any) bool {
	want, ok := hashKeyOf(v)
	if !ok {
		return false
	}
	for _, have := range m.list {
		if keyIs(have, want) {
			return true
		}
	}
	return false
}

// Set is a Python set: members in the order in which they were sent. Duplicates are kept; the peer removes them.
type Set struct{ members }

// FrozenSet is a Python frozenset. Unlike a Set it is hashable.
type FrozenSet struct{ members }

// NewSet returns a set with these members.
func NewSet(members ...any) *Set { return &Set{membersOf(members)} }

// NewFrozenSet returns a frozenset with these members.
func NewFrozenSet(members ...any) *FrozenSet { return &FrozenSet{membersOf(members)} }

func membersOf(list []any) members { return members{list} }

// hashKey is a comparable form of a key: two forms are equal if the keys are equal in Python.
type hashKey struct {
	kind byte
	bits uint64
	text string
	ptr  any
}

// maxTupleKey is the maximum length of the form of a tuple. Longer tuples are not found: with shared parts their form
// could grow without bound.
const maxTupleKey = 4 << 10

// hashKeyOf returns the key for v, or false if v cannot be looked up.
func hashKeyOf(v any) (hashKey, bool) {
	switch x := v.(type) {
	case string:
		return hashKey{kind: 's', text: x}, true
	case []byte:
		// Not copied, because many dictionaries may share one long key. Keys do not change.
		return hashKey{kind: 'b', text: unsafe.String(unsafe.SliceData(x), len(x))}, true
	case int64:
		return hashKey{kind: 'i', bits: uint64(x)}, true
	case int:
		return hashKey{kind: 'i', bits: uint64(x)}, true
	case nil:
		return hashKey{kind: 'n'}, true
	case bool:
		if x {
			return hashKey{kind: 'i', bits: 1}, true
		}
		return hashKey{kind: 'i'}, true
	case float64:
		if n := int64(x); float64(n) == x && x >= -1<<63 && x < 1<<63 {
			return hashKey{kind: 'i', bits: uint64(n)}, true
		}
		return hashKey{kind: 'f', bits: math.Float64bits(x)}, true
	case *big.Int:
		if x == nil {
			return hashKey{kind: 'n'}, true
		}
		if x.IsInt64() {
			return hashKey{kind: 'i', bits: uint64(x.Int64())}, true
		}
		return hashKey{kind: 'I', bits: uint64(x.Sign()), text: string(x.Bytes())}, true
	case Tuple:
		form, ok := appendTupleKey(nil, x)
		return hashKey{kind: 't', text: string(form)}, ok
	case time.Time:
		return hashKey{kind: 'd', bits: uint64(x.UnixMicro())}, true
	case time.Duration, Date, TimeOfDay, Timedelta, Class, Module, Function:
		return hashKey{kind: 'v', ptr: x}, true
	}
	r := reflect.ValueOf(v)
	switch {
	case r.Kind() == reflect.Pointer:
		return hashKey{kind: 'p', ptr: v}, true
	case r.CanInt():
		return hashKey{kind: 'i', bits: uint64(r.Int())}, true
	case r.Kind() == reflect.String:
		return hashKey{kind: 's', text: r.String()}, true
	}
	return hashKey{}, false
}

// appendTupleKey appends the form of t, which is equal for equal tuples of scalars.
func appendTupleKey(b []byte, t Tuple) ([]byte, bool) {
	b = binary.AppendUvarint(append(b, 't'), uint64(len(t)))
	for _, v := range t {
		if len(b) > maxTupleKey {
			return nil, false
		}
		if inner, ok := v.(Tuple); ok {
			if b, ok = appendTupleKey(b, inner); !ok {
				return nil, false
			}
			continue
		}
		k, ok := hashKeyOf(v)
		if !ok || k.ptr != nil || len(b)+len(k.text) > maxTupleKey {
			return nil, false
		}
		b = binary.AppendUvarint(append(b, k.kind), k.bits)
		b = binary.AppendUvarint(b, uint64(len(k.text)))
		b = append(b, k.text...)
	}
	return b, len(b) <= maxTupleKey
}
