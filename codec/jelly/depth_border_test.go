package jelly

import (
	"fmt"
	"math/big"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/codec/banana"
)

// levels is a struct with one field of any type.
type levels struct {
	V any `pb:"v"`
}

// TestDepthLimitOnBothSides puts every kind of value into containers of depths around the limit: the decoder accepts
// what the encoder allows within a message, and refuses what the encoder refuses, which is encoded with a higher
// limit.
func TestDepthLimitOnBothSides(t *testing.T) {
	const limit = 12
	leaves := map[string]any{
		"None": nil, "True": true, "int": 7, "large int": new(big.Int).Lsh(big.NewInt(1), 100), "float": 1.5,
		"bytes": []byte("b"),
		"str":   "text", "empty str": "", "nil pointer": (*int)(nil),
		"empty list": []any{}, "list": []any{1}, "list of None": []any{nil}, "list of str": []any{"a"},
		"ints": []int{
			1,
		}, "strings": []string{"a"}, "bools": []bool{true}, "floats": []float64{1}, "array": [2]string{"a", "b"},
		"empty tuple": Tuple{}, "tuple": Tuple{1}, "tuple of str": Tuple{"a"}, "empty dictionary": map[string]any{},
		"map of any": map[string]any{"k": 1}, "map of None": map[string]any{"k": nil}, "map of int": map[string]int{"k": 1},
		"map of str": map[string]string{"k": "v"}, "map of bool": map[string]bool{"k": true}, "map by int": map[int]int{1: 1},
		"map by str": map[string][]byte{
			"k": nil,
		}, "Dict by bytes": NewDict(Entry{[]byte("k"), 1}), "Dict by str": NewDict(Entry{"k", 1}),
		"Dict by None": NewDict(Entry{nil, 1}), "set": NewSet(1), "set of str": NewSet("a"), "frozen set": NewFrozenSet(true),
		"moment": time.Unix(0, 0).
			UTC(),
		"duration": time.Second, "decimal": NewDecimal(15, -1), "URL": &url.URL{Scheme: "pb", Host: "h"},
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

// TestNestingLimitOnBothSides nests every kind of container to DefaultNesting and beyond, with and without sharing:
// the decoder accepts what the encoder allows, within the scanner's default depth.
func TestNestingLimitOnBothSides(t *testing.T) {
	wraps := map[string]func(v any) any{
		"lists":         func(v any) any { return []any{v} },
		"tuples":        func(v any) any { return Tuple{v} },
		"maps":          func(v any) any { return map[string]any{"k": v} },
		"dictionaries":  func(v any) any { return NewDict(Entry{Tuple{"k"}, v}) },
		"frozen sets":   func(v any) any { return NewFrozenSet(v) },
		"instances":     func(v any) any { return &Instance{Class: "a.B", State: NewDict(Entry{"k", v})} },
		"old instances": func(v any) any { return &Instance{Class: "a.B", State: NewDict(Entry{"k", v}), Old: true} },
		"structs":       func(v any) any { return &levels{V: v} },
		"methods":       func(v any) any { return Method{"m", v, Class("a.B")} },
		"maps by int":   func(v any) any { return map[int]any{1: v} },
		"arrays":        func(v any) any { return [1]any{v} },
	}
	for name, wrap := range wraps {
		for _, twice := range []bool{false, true} {
			if twice && (name == "methods" || name == "arrays") {
				continue // Neither is shared in Jelly.
			}
			t.Run(fmt.Sprint(name, ", shared: ", twice), func(t *testing.T) {
				v, sent := any(Tuple{}), 0
				for level := range DefaultNesting + 3 {
					if level < 250 || level > 258 && level < DefaultNesting-3 {
						v = again(wrap(v), twice)
						continue
					}
					if nestingHolds(t, v) {
						sent = level
					}
					v = again(wrap(v), twice)
				}
				require.GreaterOrEqual(t, sent, 255)
				require.False(t, nestingHolds(t, v), "somewhere it ends")
			})
		}
	}
}

// again doubles the element of v if it is to be shared.
func again(v any, twice bool) any {
	if !twice {
		return v
	}
	switch x := v.(type) {
	case []any:
		return append(x, x[0])
	case Tuple:
		return append(x, x[0])
	case map[string]any:
		x["l"] = x["k"]
	case map[int]any:
		x[2] = x[1]
	case *Dict:
		x.Set("l", x.Entries()[0].Value)
	case *Instance:
		again(x.State, true)
	case *FrozenSet:
		return NewFrozenSet(x.list[0], x.list[0])
	case *levels:
		return &twoLevels{x.V, x.V}
	}
	return v
}

type twoLevels struct {
	V any `pb:"v"`
	W any `pb:"w"`
}

// nestingHolds reports whether v was sent, and fails the test if the receiver differs.
func nestingHolds(t *testing.T, v any) bool {
	t.Helper()
	f := NewFragment(Context{Profile: banana.ProfilePB})
	defer f.Free()
	err := f.Jelly(v)
	whole := NewFragment(Context{Profile: banana.ProfilePB, Nesting: 10_000, Limits: banana.Limits{Depth: 100_000}})
	defer whole.Free()
	require.NoError(t, whole.Jelly(v))
	b, appendErr := whole.Append(nil, nil)
	require.NoError(t, appendErr)
	d := Decoder{Taster: DefaultSecurity().AllowInstancesOf("a.B").AllowTypes("method")}
	_, refused := decodeAll(&d, b, banana.ProfilePB)
	require.Equal(t, err == nil, refused == nil, "sending says %v, receiving %v", err, refused)
	if err != nil {
		require.ErrorContains(t, err, "nested too deeply")
		require.ErrorContains(t, refused, "nested too deeply")
		return false
	}
	require.NoError(t, accepts(append([]byte("\x01\x80"), b...), banana.ProfilePB, banana.Limits{}))
	return true
}

// borderHolds reports whether v was sent, and fails the test if the two sides differ.
func borderHolds(t *testing.T, profile banana.Profile, v any, limit int, what string) bool {
	t.Helper()
	small, large := banana.Limits{Depth: limit}, banana.Limits{Depth: 1000}
	f := NewFragment(Context{Profile: profile, Limits: small})
	defer f.Free()
	err := f.Jelly(v)
	whole := NewFragment(Context{Profile: profile, Limits: large})
	defer whole.Free()
	require.NoError(t, whole.Jelly(v), what)
	b, appendErr := whole.Append(banana.AppendList(nil, 1), nil) // The list of the message.
	require.NoError(t, appendErr)
	accepted := accepts(b, profile, small)
	assert.Equal(
		t,
		accepted == nil,
		err == nil,
		"%s: sending says %v, receiving %v, of %s",
		what,
		err,
		accepted,
		banana.FormatFrame(b, profile, 300),
	)
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

// accepts decodes a frame as a receiver does.
func accepts(frame []byte, profile banana.Profile, limits banana.Limits) error {
	var s banana.Scanner
	s.Init(profile, limits)
	_, err := s.Next(frame)
	return err
}
