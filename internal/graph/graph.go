package graph

import (
	"fmt"
	"math/rand/v2"

	"github.com/perspectivebroker/pb/codec/jelly"
)

// Kind is a kind of container.
type Kind int

// The kinds of containers that a peer can send.
const (
	List Kind = iota
	Tuple
	Dict
	Set
	FrozenSet
	Instance
	Old
	Method
	kinds
)

// Kinds has every kind.
func Kinds() []Kind {
	all := make([]Kind, kinds)
	for i := range all {
		all[i] = Kind(i)
	}
	return all
}

// String returns the kind's name.
func (k Kind) String() string {
	return [...]string{"list", "tuple", "dict", "set", "frozenset", "instance", "old instance", "method"}[k]
}

// Class is the class of the instances.
const Class = "graph.Node"

// Node returns a container with room for n parts, and a function that sets them later, so that it can contain itself.
func Node(k Kind, n int) (node any, put func(i int, part any)) {
	parts := make([]any, n, n+1) // Spare capacity gives an empty slice an identity, as the decoder's has.
	into := func(i int, part any) { parts[i] = part }
	switch k {
	case Tuple:
		return jelly.Tuple(parts), into
	case Dict:
		return dict(n)
	case Set:
		return jelly.NewSet(parts...), into
	case FrozenSet:
		return jelly.NewFrozenSet(parts...), into
	case Instance, Old:
		state, put := dict(n)
		return &jelly.Instance{Class: Class, State: state, Old: k == Old}, put
	case Method:
		return &jelly.Method{Name: "call", Self: parts, Class: jelly.Class(Class)}, into
	}
	return parts, into
}

func dict(n int) (any, func(i int, part any)) {
	entries := make([]jelly.Entry, n)
	for i := range entries {
		entries[i].Key = fmt.Sprint("k", i)
	}
	return jelly.NewDict(entries...), func(i int, part any) { entries[i].Value = part }
}

// Of returns a container of the given parts.
func Of(k Kind, parts ...any) any {
	node, put := Node(k, len(parts))
	for i, part := range parts {
		put(i, part)
	}
	return node
}

// Nested returns a leaf in depth containers.
func Nested(k Kind, levels int, leaf any) any {
	for range levels {
		leaf = Of(k, leaf)
	}
	return leaf
}

// Doubled returns a value in which each level contains the next twice: it reaches leaf 2^levels times.
func Doubled(k Kind, levels int, leaf any) any {
	for range levels {
		leaf = Of(k, leaf, leaf)
	}
	return leaf
}

// Circle returns a container that contains itself.
func Circle(k Kind) any {
	node, put := Node(k, 2)
	put(0, node)
	put(1, int64(1))
	return node
}

// Hostile returns values of each sort by name.
func Hostile() map[string]any {
	all := map[string]any{}
	for _, k := range Kinds() {
		all[k.String()+" in itself"] = Circle(k)
		all[k.String()+" doubled 60 times"] = Doubled(k, 60, "leaf")
		all[k.String()+" in a list in itself"] = throughList(k)
	}
	all["text for terminals"] = "\x1b]0;title\a\x1b[2J\r\n\u202e\u0000"
	all["bytes for terminals"] = []byte("\x1b[31m\x9b\xff\x00\"\\")
	all["names for terminals"] = []any{
		jelly.Class("a.\x1b[2J"), jelly.Module("\u009b31m"), jelly.Function("a.\n"), jelly.Unpersistable{Reason: "\x1b[0m"},
		jelly.Persistent{ID: []byte("\x1b")}, &jelly.Instance{Class: "x.\x1b", State: nil},
	}
	all["long text"] = string(make([]byte, 600_000))
	all["one long key for many"] = oneKeyForMany()
	return all
}

func throughList(k Kind) any {
	list := make([]any, 2)
	node := Of(k, list, list)
	list[0], list[1] = node, node
	return node
}

// oneKeyForMany returns many dictionaries that share one long key: text, bytes, or inside tuples.
func oneKeyForMany() any {
	text := string(make([]byte, 600_000))
	keys := []any{text, []byte(text), jelly.Tuple{text}, jelly.Tuple{jelly.Tuple{[]byte(text)}}}
	list := make([]any, 2000)
	for i := range list {
		var entries []jelly.Entry
		for range 1 + i%3*3 {
			for _, key := range keys {
				entries = append(entries, jelly.Entry{Key: key, Value: int64(i)})
			}
		}
		list[i] = jelly.NewDict(entries...)
	}
	return list
}

// Random returns a graph of up to 40 containers that refer to each other, and themselves, at random.
func Random(seed uint64) any {
	r := rand.New(rand.NewPCG(seed, 0))
	nodes := make([]any, 1+r.IntN(40))
	puts := make([]func(int, any), len(nodes))
	sizes := make([]int, len(nodes))
	for i := range nodes {
		sizes[i] = r.IntN(5)
		nodes[i], puts[i] = Node(Kind(r.IntN(int(kinds))), sizes[i])
	}
	leaves := []any{
		nil,
		int64(1),
		"text\x1b",
		[]byte{0, 255},
		1.5,
		true,
		jelly.Class(Class),
		jelly.Unpersistable{Reason: "none"},
	}
	for i, put := range puts {
		for j := range sizes[i] {
			if r.IntN(3) == 0 {
				put(j, leaves[r.IntN(len(leaves))])
			} else {
				put(j, nodes[r.IntN(len(nodes))])
			}
		}
	}
	return nodes[0]
}
