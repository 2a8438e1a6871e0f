package jelly

import "iter"

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
