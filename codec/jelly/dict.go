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

// Entry is one pair of a Dict.
type Entry struct{ Key, Value any }

// Dict is a Python dictionary: pairs in the order in which they were sent, with
// keys of any hashable type. Pairs are kept as they are, equal keys included;
// the last of them wins, as it does in Python.
//
// Methods that only read may be called by several goroutines at once.
type Dict struct {
	entries []Entry
	// index finds scalar keys in large dictionaries, and tuples those that are tuples. Each is built by the first
	// Get that wants it.
	index, tuples atomic.Pointer[map[hashKey]int]
}

// indexFrom is the number of entries above which a scan costs more than an index.
const indexFrom = 8

// NewDict returns a dictionary of these pairs.
func NewDict(entries ...Entry) *Dict { return &Dict{entries: entries} }

// Len returns the number of pairs.
func (d *Dict) Len() int {
	if d == nil {
		return 0
	}
	return len(d.entries)
}

// Entries returns the pairs themselves, not a copy: do not change their keys.
func (d *Dict) Entries() []Entry {
	if d == nil {
		return nil
	}
	return d.entries
}

// All ranges over the pairs.
func (d *Dict) All() iter.Seq2[any, any] {
	return func(yield func(any, any) bool) {
		for _, e := range d.Entries() {
			if !yield(e.Key, e.Value) {
				return
			}
		}
	}
}

// Get returns the value under key, compared as Python does: 1, 1.0 and true are
// one key, "a" and []byte("a") are two. Tuples of scalars are found as well;
// of other keys only those that are the same pointer.
func (d *Dict) Get(key any) (any, bool) {
	if i := d.find(key); i >= 0 {
		return d.entries[i].Value, true
	}
	return nil, false
}

// GetName returns the value under a name, which Python 3 peers send as str and
// Python 2 peers as bytes.
func (d *Dict) GetName(name string) (any, bool) {
	if v, ok := d.Get(name); ok {
		return v, true
	}
	return d.Get([]byte(name))
}

// Set replaces the value under key, or appends the pair.
func (d *Dict) Set(key, value any) {
	if i := d.find(key); i >= 0 {
		d.entries[i].Value = value
		return
	}
	d.entries = append(d.entries, Entry{key, value})
	// The indexes that there are get the new pair: making them anew for each would be quadratic.
	for _, p := range []*atomic.Pointer[map[hashKey]int]{&d.index, &d.tuples} {
		if m := p.Load(); m != nil {
			enterKey(*m, key, len(d.entries)-1, p == &d.tuples)
		}
	}
}

// Delete removes all pairs with that key.
func (d *Dict) Delete(key any) {
	if d.find(key) < 0 {
		return
	}
	want, _ := hashKeyOf(key)
	d.entries = slices.DeleteFunc(d.entries, func(e Entry) bool { return keyIs(e.Key, want) })
	d.index.Store(nil)
	d.tuples.Store(nil)
}

// find returns the last entry with that key, or -1.
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
		// Two goroutines may both make it: the indexes are equal.
		m = &made
		index.Store(m)
	}
	if i, ok := (*m)[want]; ok {
		return i
	}
	return -1
}

// longKey is the length of a text above which it is not put into an index but searched for: to hash it for each of many
// dictionaries that share it would be quadratic, while two texts of different length are told apart at once.
const longKey = 256

// enterKey puts a key into an index, of tuples or of anything else. Tuples have one of their own because their forms
// are long.
func enterKey(m map[hashKey]int, key any, i int, tuples bool) {
	if _, isTuple := key.(Tuple); isTuple != tuples {
		return
	}
	if k, ok := hashKeyOf(key); ok && (tuples || len(k.text) <= longKey) {
		m[k] = i
	}
}

// keyIs reports whether a key is the wanted one. The form of a tuple is made only to be compared with another.
func keyIs(key any, want hashKey) bool {
	if _, isTuple := key.(Tuple); isTuple != (want.kind == 't') {
		return false
	}
	k, ok := hashKeyOf(key)
	return ok && k == want
}

// members is what Set and FrozenSet have in common.
type members struct{ list []any }

// Len returns the number of members as they were sent, equal ones counted twice.
func (m *members) Len() int { return len(m.list) }

// Members returns the members themselves, in the order in which they were sent.
func (m *members) Members() []any { return m.list }

// All ranges over the members.
func (m *members) All() iter.Seq[any] {
	return func(yield func(any) bool) {
		for _, v := range m.list {
			if !yield(v) {
				return
			}
		}
	}
}

// Has reports whether v is a member. It compares as Dict.Get does, and scans.
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

// Set is a Python set: members in the order in which they were sent. Equal ones
// are not removed; the peer does that.
type Set struct{ members }

// FrozenSet is a Python frozenset. Unlike a Set it is hashable, if its members are, which they
// must be.
type FrozenSet struct{ members }

// NewSet returns a set of these members.
func NewSet(members ...any) *Set { return &Set{membersOf(members)} }

// NewFrozenSet returns a frozenset of these members.
func NewFrozenSet(members ...any) *FrozenSet { return &FrozenSet{membersOf(members)} }

func membersOf(list []any) members { return members{list} }

// hashKey is a key of a dictionary in a form that Go can compare, equal where
// Python's keys are.
type hashKey struct {
	kind byte
	bits uint64
	text string
	ptr  any
}

// The longest canonical form of a tuple that is looked up. Longer tuples are
// not found: with shared parts their form could grow without bound.
const maxTupleKey = 4 << 10

// hashKeyOf returns the key for v, or false if v cannot be looked up.
func hashKeyOf(v any) (hashKey, bool) {
	switch x := v.(type) {
	case string:
		return hashKey{kind: 's', text: x}, true
	case []byte:
		// Without a copy: many dictionaries may have one long key. Keys are not changed.
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

// appendTupleKey writes a form of t that is equal for equal tuples of scalars.
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
