package jelly

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// 2^60 leaves are converted as 60 nodes.
func TestAssignKeepsSharing(t *testing.T) {
	const levels = 60
	var lists any = []any{}
	for range levels {
		lists = []any{lists, lists}
	}
	type nested []nested
	var n nested
	require.NoError(t, Assign(&n, lists))
	depth := 0
	for ; len(n) > 0; depth++ {
		if len(n[0]) > 0 {
			assert.Same(t, &n[0][0], &n[1][0])
		}
		n = n[1]
	}
	assert.Equal(t, levels, depth)

	dicts := NewDict()
	for range levels {
		dicts = NewDict(Entry{"left", dicts}, Entry{"right", dicts})
	}
	var root *tree
	require.NoError(t, Assign(&root, dicts))
	for node, depth := root, 0; node.Left != nil; node, depth = node.Right, depth+1 {
		assert.Same(t, node.Left, node.Right)
	}
	var maps map[string]any
	require.NoError(t, Assign(&maps, dicts))
	type nestedMap map[string]nestedMap
	var m nestedMap
	require.NoError(t, Assign(&m, dicts))
	assert.Len(t, m, 2)
	var mixed struct {
		A, B []any `pb:"a"`
		C    []int `pb:"c"`
		D    []int `pb:"d"`
		E    []int `pb:"e"`
	}
	ints := make([]any, 20)
	for i := range ints {
		ints[i] = int64(i)
	}
	require.Error(t, Assign(&mixed, NewDict()), "two fields with one name")
	var three struct {
		C []int `pb:"c"`
		D []int `pb:"d"`
		E []int `pb:"e"`
	}
	require.NoError(t, Assign(&three, NewDict(Entry{"c", ints}, Entry{"d", ints}, Entry{"e", append([]any{}, ints...)})))
	assert.Same(t, &three.C[0], &three.D[0])
	assert.NotSame(t, &three.C[0], &three.E[0])
}

func TestAssignCycles(t *testing.T) {
	d := NewDict(Entry{"n", int64(1)})
	d.Set("left", d)
	var root *tree
	require.NoError(t, Assign(&root, d))
	assert.Same(t, root, root.Left)
	l := []any{nil}
	l[0] = l
	type nested []nested
	var n nested
	require.NoError(t, Assign(&n, l))
	assert.Same(t, &n[0], &n[0][0])
	type nestedMap map[string]nestedMap
	var m nestedMap
	assert.Error(t, Assign(&m, d), "an int is no map")
	// A long chain is refused before the stack overflows.
	chain := any(nil)
	for range 1_000_000 {
		chain = []any{chain}
	}
	assert.ErrorContains(t, Assign(&n, chain), "it is nested too deeply")
}

// A long string with many mentions is converted once.
func TestAssignLongTextOnce(t *testing.T) {
	long := []byte(strings.Repeat("x", 640<<10))
	many := make([]any, 100_000)
	for i := range many {
		many[i] = long
	}
	var strs []string
	require.NoError(t, Assign(&strs, many))
	assert.Len(t, strs, len(many))
	for i := range many {
		many[i] = strs[0]
	}
	var blobs [][]byte
	require.NoError(t, Assign(&blobs, many))
	assert.Len(t, blobs, len(many))
	// Each mention of a large dictionary costs one look-up for each field.
	entries := make([]Entry, 100_000)
	for i := range entries {
		entries[i] = Entry{fmt.Sprint("k", i), nil}
	}
	large := NewDict(entries...)
	for i := range many {
		many[i] = large
	}
	var people []person
	require.NoError(t, Assign(&people, many))
}

type wide struct {
	Number [1000]int `pb:"n"`
	Name   string    `pb:"name"`
}

// Values by value are converted for each mention, within a bound on memory.
func TestAssignByValueIsBounded(t *testing.T) {
	numbers := make([]any, 1000)
	for i := range numbers {
		numbers[i] = int64(i)
	}
	d := NewDict(Entry{"n", numbers}, Entry{"name", "x"})
	many := make([]any, 600_000)
	for i := range many {
		many[i] = d
	}
	set := NewSet(many[:100_000]...)
	arrays := make([]any, 600_000)
	entries := make([]Entry, 600_000)
	for i := range arrays {
		arrays[i] = numbers
		entries[i] = Entry{int64(i), d}
	}
	for _, c := range []struct{ dst, src any }{
		{new([]wide), many}, {new([]wide), Tuple(many)}, {new([]wide), set}, {new([][1000]int), arrays},
		{new([][1000]any), arrays},
		{new(map[int]wide), NewDict(entries...)}, {new(map[[1000]int]int), NewDict(Entry{numbers, nil})},
		{new(map[wide]struct{}), NewSet(many...)},
	} {
		before := allocatedNow()
		err := Assign(c.dst, c.src)
		assert.Error(t, err, "%T", c.dst)
		assert.Less(t, allocatedNow()-before, uint64(2*maxAssignBytes), "%T", c.dst)
	}
	var some []wide
	require.NoError(t, Assign(&some, many[:1000]))
	assert.Equal(t, 999, some[999].Number[999])
}

func allocatedNow() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}
