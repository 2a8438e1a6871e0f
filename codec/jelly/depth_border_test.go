package jelly

import (
	"math/big"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/codec/banana"
)

// levels is a struct with a field for what is deepest.
type levels struct {
	V any `pb:"v"`
}

// TestTheDeepestIsSentExactlyWhereItIsAccepted puts every kind of value at the bottom of ever deeper containers, and asks both sides at
// each depth around the limit: what the encoder lets through, our own receiver takes within a message; what it refuses, the receiver would
// have refused as well. The latter is seen by having it sent under a limit that is out of reach.
func TestTheDeepestIsSentExactlyWhereItIsAccepted(t *testing.T) {
	const limit = 12
	leaves := map[string]any{
		"None": nil, "True": true, "int": 7, "large int": new(big.Int).Lsh(big.NewInt(1), 100), "float": 1.5, "bytes": []byte("b"),
		"str": "text", "empty str": "", "nil pointer": (*int)(nil),
		"empty list": []any{}, "list": []any{1}, "list of None": []any{nil}, "list of str": []any{"a"},
		"ints": []int{1}, "strings": []string{"a"}, "bools": []bool{true}, "floats": []float64{1}, "array": [2]string{"a", "b"},
		"empty tuple": Tuple{}, "tuple": Tuple{1}, "tuple of str": Tuple{"a"}, "empty dictionary": map[string]any{},
		"map of any": map[string]any{"k": 1}, "map of None": map[string]any{"k": nil}, "map of int": map[string]int{"k": 1},
		"map of str": map[string]string{"k": "v"}, "map of bool": map[string]bool{"k": true}, "map by int": map[int]int{1: 1},
		"map by str": map[string][]byte{"k": nil}, "Dict by bytes": NewDict(Entry{[]byte("k"), 1}), "Dict by str": NewDict(Entry{"k", 1}),
		"Dict by None": NewDict(Entry{nil, 1}), "set": NewSet(1), "set of str": NewSet("a"), "frozen set": NewFrozenSet(true),
		"moment": time.Unix(0, 0).UTC(), "duration": time.Second, "decimal": NewDecimal(15, -1), "URL": &url.URL{Scheme: "pb", Host: "h"},
		"struct": &levels{V: 1}, "struct of str": &levels{V: "a"}, "struct of None": levels{},
	}
	containers := map[string]func(v any) any{
		"lists":        func(v any) any { return []any{v} },
		"tuples":       func(v any) any { return Tuple{v} },
		"maps":         func(v any) any { return map[string]any{"k": v} },
		"dictionaries": func(v any) any { return NewDict(Entry{1, v}) },
		"mixed":        func(v any) any { return []any{map[string]any{"k": Tuple{v}}} },
		"twice":        func(v any) any { x := []any{v}; return []any{x, x} },
	}
	for _, profile := range []banana.Profile{banana.ProfilePB, banana.ProfileNone} {
		for leafName, leaf := range leaves {
			for name, wrap := range containers {
				v, sent, refused := leaf, 0, 0
				for range limit + 2 {
					if borderHolds(t, profile, v, limit, leafName+" in "+name) {
						sent++
					} else {
						refused++
					}
					v = wrap(v)
				}
				require.NotZero(t, sent, "%s in %s", leafName, name)
				require.NotZero(t, refused, "%s in %s", leafName, name)
			}
		}
	}
}

// borderHolds says whether v was sent, and fails the test where the two sides differ.
func borderHolds(t *testing.T, profile banana.Profile, v any, limit int, what string) bool {
	t.Helper()
	small, large := banana.Limits{Depth: limit}, banana.Limits{Depth: 1000}
	f := NewFragment(Context{Profile: profile, Limits: small})
	defer f.Free()
	err := f.Jelly(v)
	whole := NewFragment(Context{Profile: profile, Limits: large})
	defer whole.Free()
	require.NoError(t, whole.Jelly(v), what)
	b, appendErr := whole.Append(banana.AppendList(nil, 1), nil) // The message around it.
	require.NoError(t, appendErr)
	accepted := accepts(b, profile, small)
	assert.Equal(t, accepted == nil, err == nil, "%s: sending says %v, receiving %v, of %s", what, err, accepted, banana.FormatFrame(b, profile, 300))
	if err != nil {
		var tooDeep *banana.EncodeError
		require.ErrorAs(t, err, &tooDeep, what)
		require.Equal(t, banana.LimitDepth, tooDeep.Limit, what)
		return false
	}
	same, appendErr := f.Append(banana.AppendList(nil, 1), nil)
	require.NoError(t, appendErr)
	require.Equal(t, b, same, "%s: a limit that is kept changes nothing", what)
	return true
}

// accepts is what a receiver does with the frame of a message.
func accepts(frame []byte, profile banana.Profile, limits banana.Limits) error {
	var s banana.Scanner
	s.Init(profile, limits)
	_, err := s.Next(frame)
	return err
}
