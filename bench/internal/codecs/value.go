package codecs

import (
	"fmt"

	"github.com/perspectivebroker/pb/codec/jelly"
)

// value is one value to encode, in several Go representations.
type value struct {
	name     string
	generic  any        // as passed to a call
	list     any        // generic without tuples and shared references, for the codecs that have neither
	typed    any        // with a Go type of its own
	newTyped func() any // returns a pointer to decode typed into
	newJelly func() any // returns a pointer for ours-typed to assign to, or nil if there is no typed variant
}

// pair corresponds to the arguments of root.add(1, 2).
type pair struct{ A, B int }

// node is a node of the graph that refers to another one by its index.
type node struct{ ID, Other int }

// The sizes of the values graph and bytes.
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
	newPair := func() any { return new(pair) }
	newInts := func() any { return new([]int) }
	newDict := func() any { return new(map[string]int) }
	newBytes := func() any { return new([]byte) }
	newNodes := func() any { return new([]node) }
	return []value{
		// Assign assigns a tuple to a slice, not to a struct.
		{"small", jelly.Tuple{1, 2}, []any{1, 2}, &pair{1, 2}, newPair, newInts},
		{"dict", anyDict, anyDict, dict, newDict, newDict},
		{"ints", ints, anyInts, ints, newInts, newInts},
		{"bytes", raw, raw, raw, newBytes, newBytes},
		{"graph", shared, numbered, nodes, newNodes, nil},
	}
}

// graph returns a list of nodes that each refer to another one, as shared references and as indexes.
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
