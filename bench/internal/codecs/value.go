package codecs

import (
	"fmt"

	"github.com/perspectivebroker/pb/codec/jelly"
)

// value is what is encoded: as one who sends arguments has it, and with a Go type of its own.
type value struct {
	name    string
	generic any
	list    any // generic for codecs that know neither tuples nor sharing
	typed   any
	fresh   func() any // a pointer to what typed decodes into
	// jellied is what generic is assigned to in Jelly's typed way, nil if there is none.
	jellied func() any
}

// pair is what has most in common with the arguments of root.add(1, 2).
type pair struct{ A, B int }

// node is one of the graph where sharing has to be said with numbers.
type node struct{ ID, Other int }

// Nodes is the size of the graph, Bytes that of the byte string.
const (
	Nodes = 10_000
	Bytes = 64 << 10
)

func values() []value {
	dict, ints := map[string]int{}, make([]int, 1000)
	anyDict, anyInts := map[string]any{}, make([]any, len(ints))
	for i := range 10 {
		key := fmt.Sprintf("key%d", i)
		dict[key], anyDict[key] = i*1000, i*1000
	}
	for i := range ints {
		ints[i], anyInts[i] = i*7, i*7
	}
	raw := make([]byte, Bytes)
	for i := range raw {
		raw[i] = byte(i)
	}
	shared, numbered, nodes := graph()
	return []value{
		// A tuple goes into a slice, not into a struct.
		{"small", jelly.Tuple{1, 2}, []any{1, 2}, &pair{1, 2}, func() any { return new(pair) }, func() any { return new([]int) }},
		{"dict", anyDict, anyDict, dict, func() any { return new(map[string]int) }, func() any { return new(map[string]int) }},
		{"ints", ints, anyInts, ints, func() any { return new([]int) }, func() any { return new([]int) }},
		{"bytes", raw, raw, raw, func() any { return new([]byte) }, func() any { return new([]byte) }},
		{"graph", shared, numbered, nodes, func() any { return new([]node) }, nil},
	}
}

// graph is a list of nodes, each of which mentions another, as Jelly sends it, and with numbers in the place of the mentions.
func graph() (shared, numbered []any, typed []node) {
	shared, numbered, typed = make([]any, Nodes), make([]any, Nodes), make([]node, Nodes)
	for i := range Nodes {
		shared[i] = []any{i, nil, nil}
		numbered[i] = []any{i, i / 2, nil}
		typed[i] = node{i, i / 2}
	}
	for i := range Nodes {
		shared[i].([]any)[1] = shared[i/2]
	}
	return shared, numbered, typed
}
