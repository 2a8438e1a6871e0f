package jelly

import (
	"iter"
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
	// index finds scalar keys in large dictionaries. It is built by the first
	// Get that wants it and dropped by every change.
	index atomic.Pointer[map[hashKey]int]
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
	d.index.Store(nil)
}

// Delete removes all pairs with that key.
func (d *Dict) Delete(key any) {
	for i := d.find(key); i >= 0; i = d.find(key) {
		d.entries = append(d.entries[:i], d.entries[i+1:]...)
		d.index.Store(nil)
	}
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
	if len(d.entries) <= indexFrom {
		for i := len(d.entries) - 1; i >= 0; i-- {
			if k, ok := hashKeyOf(d.entries[i].Key); ok && k == want {
				return i
			}
		}
		return -1
	}
	index := d.index.Load()
	if index == nil {
		m := make(map[hashKey]int, len(d.entries))
		for i := range d.entries {
			if k, ok := hashKeyOf(d.entries[i].Key); ok {
				m[k] = i
			}
		}
		// Two goroutines may both build it: the indexes are equal.
		index = &m
		d.index.Store(index)
	}
	if i, ok := (*index)[want]; ok {
		return i
	}
	return -1
}
