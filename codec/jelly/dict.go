package jelly

import (
	"iter"
	"slices"
	"sync/atomic"
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
