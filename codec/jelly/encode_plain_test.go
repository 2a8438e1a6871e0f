package jelly

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/perspectivebroker/pb/codec/banana"
)

// drawPlain draws scalars, some of which are too long or are none.
func drawPlain() *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		switch rapid.IntRange(0, 20).Draw(t, "kind") {
		case 0:
			return nil
		case 1:
			return rapid.Bool().Draw(t, "bool")
		case 2:
			return rapid.SampledFrom([]float64{0, -1.5, math.Inf(1)}).Draw(t, "float")
		case 3:
			return rapid.SampledFrom([]string{"", "dictionary", "\xff", "ü", strings.Repeat("x", longestPlain),
				strings.Repeat("x", longestPlain+1)}).Draw(t, "word")
		case 4:
			return rapid.String().Draw(t, "text")
		case 5:
			return rapid.Int64().Draw(t, "int64")
		case 6:
			return rapid.SampledFrom([]any{[]byte("bytes"), uint8(1), []any{}, []int{1}}).Draw(t, "other")
		}
		return rapid.SampledFrom([]int{0, 1, 127, 128, -1, math.MaxInt}).Draw(t, "int")
	})
}

// Plain values are written as all others are, with the same errors, also where a limit is near.
func TestPlainIsAsGeneral(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Context{
			Profile: rapid.SampledFrom([]banana.Profile{banana.ProfileNone, banana.ProfilePB, banana.ProfilePB1}).
				Draw(t, "profile"),
			Limits: banana.Limits{
				String: rapid.SampledFrom([]int{0, 0, 0, 5, longestPlain}).Draw(t, "String"),
				List:   rapid.SampledFrom([]int{0, 0, 2, 4, mostPlain, mostPlain + 1}).Draw(t, "List"),
				Depth:  rapid.SampledFrom([]int{0, 0, 0, 1, 2, 3, 4, 5}).Draw(t, "Depth"),
				Frame:  rapid.SampledFrom([]int{0, 0, 0, 5, 30, 1000}).Draw(t, "Frame"),
			},
			Nesting: rapid.IntRange(0, 2).Draw(t, "Nesting"),
		}
		fast, slow := NewFragment(c), NewFragment(c)
		defer fast.Free()
		defer slow.Free()
		for range rapid.IntRange(1, 3).Draw(t, "calls") {
			list := rapid.SliceOfN(drawPlain(), 0, mostPlain+2).Draw(t, "values")
			v := rapid.SampledFrom([]any{list, Tuple(list), rapid.Just(any(1)).Draw(t, "one"), append(list, nil)[0]}).
				Draw(t, "value")
			root, general := "value", func() error { return slow.e.value(v) }
			call := func() error { return fast.Jelly(v) }
			if rapid.Bool().Draw(t, "arguments") {
				root, general = "args", func() error { return slow.e.sequence(banana.SymTuple, list) }
				call = func() error { return fast.JellyTuple(list) }
				if rapid.Bool().Draw(t, "only if plain") && fast.JellyPlainTuple(list) {
					call = func() error { return nil }
				}
			} else if rapid.Bool().Draw(t, "only if plain") && fast.JellyPlain(v) {
				call = func() error { return nil }
			}
			want, got := slow.jellyGenerally(root, general), call()
			if want != nil {
				require.EqualError(t, got, want.Error())
			} else {
				require.NoError(t, got)
			}
			require.Equal(t, string(slow.e.buf), string(fast.e.buf)) // One may be nil.
			require.Equal(t, slow.e.deepest, fast.e.deepest)
			require.Equal(t, slow.Len(), fast.Len())
		}
	})
}

// jellyGenerally is a jelly call that does not try to write a plain value.
func (f *Fragment) jellyGenerally(root string, write func() error) (err error) {
	f.begin()
	defer f.finish(root, &err)
	return write()
}

// Plain values follow values with references in one fragment, and the other way round.
func TestPlainBesideReferences(t *testing.T) {
	shared := []any{1}
	f := NewFragment(Context{Profile: banana.ProfilePB})
	defer f.Free()
	require.NoError(t, f.JellyTuple([]any{1, "a"}))
	require.NoError(t, f.Jelly([]any{shared, shared}))
	require.NoError(t, f.Jelly(true))
	got, err := f.Append(banana.AppendList(nil, 3), nil)
	require.NoError(t, err)
	assert.Len(t, got[2:], f.Len())
	assert.Equal(t,
		`[[tuple 1 ["unicode" "a"]] [list [reference 1 [list 1]] [dereference 1]] ["boolean" "true"]]`,
		format(t, got, banana.ProfilePB))
}
