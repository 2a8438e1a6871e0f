package jelly_test

import (
	"encoding"
	"math/big"
	"net/url"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/graph"
)

type (
	tree  []tree
	trees map[string]trees
	node  struct {
		First  *node          `pb:"k0"`
		Second []node         `pb:"k1"`
		Third  map[string]any `pb:"k2"`
		Fourth [2]any         `pb:"k3"`
	}
	leafText string
)

func (l *leafText) UnmarshalText(b []byte) error { *l = leafText(b); return nil }

var _ encoding.TextUnmarshaler = (*leafText)(nil)

// targets are pointers to variables of many types.
var targets = []any{
	new(any), new(tree), new(trees), new(node), new(*node), new([]node), new([]*node), new([]any), new(map[string]any),
	new(map[any]any),
	new([][]int), new([][][]string), new([2][2][2]any), new([]map[string]node), new(map[[2]string]any),
	new(map[string]struct{}),
	new(string), new([]byte),
	new(int), new(float64), new(bool), new(time.Time), new(big.Int), new(*big.Int), new(url.URL), new(leafText),
	new([]leafText),
	new(jelly.Decimal),
	new(*jelly.Dict), new(jelly.Tuple), new(*jelly.Set), new(jelly.Class), new(chan int), new(**[]any),
	new(encoding.TextMarshaler),
}

// walks passes a value to every function of this package.
func walks(t require.TestingT, v any) {
	for _, target := range targets {
		dst := reflect.New(reflect.TypeOf(target).Elem()).Interface()
		if err := jelly.Assign(dst, v); err != nil {
			assert.Less(t, len(err.Error()), 4096)
		}
		_, _ = jelly.AssignerFor(reflect.TypeOf(target).Elem()).Value(v)
	}
	assert.Less(t, len(jelly.TypeName(v)), 200)
	d := jelly.NewDict(jelly.Entry{Key: v, Value: v}, jelly.Entry{Key: "k0", Value: v})
	for i := range 20 {
		d.Get(v)
		d.GetName("k0")
		d.Set(int64(i), v)
		d.Set(v, i)
	}
	var n node
	_ = jelly.AssignFields(&n, d)
	for key := range d.All() {
		d.Get(key)
	}
	jelly.NewSet(v, v).Has(v)
	jelly.NewFrozenSet(v, "x").Has("x")
	d.Delete(v)
	reencodes(t, v)
	reencodes(t, d)
}

// reencodes encodes a value in every way and decodes it again.
func reencodes(t require.TestingT, v any) {
	dict, _ := v.(*jelly.Dict)
	for _, write := range []func(f *jelly.Fragment) error{
		func(f *jelly.Fragment) error { return f.Jelly(v) },
		func(f *jelly.Fragment) error { return f.JellyTuple([]any{v, v}) },
		func(f *jelly.Fragment) error { return f.JellyKw([]string{"a", "b"}, []any{v, v}) },
		func(f *jelly.Fragment) error { return f.JellyDict(dict) },
	} {
		f := jelly.NewFragment(jelly.Context{Profile: banana.ProfilePB})
		if err := write(f); err != nil {
			assert.Less(t, len(err.Error()), 4096)
			f.Free()
			continue
		}
		b, err := f.Append(nil, nil)
		require.NoError(t, err)
		f.Free()
		var r banana.Reader
		r.Reset(b, banana.ProfilePB)
		jelly.Mentions(&r, 1, func(jelly.Mention) {})
		r.Reset(b, banana.ProfilePB)
		decoder := jelly.Decoder{Taster: jelly.DefaultSecurity().AllowInstancesOf(graph.Class).AllowTypes("method")}
		var again any
		if err := decoder.Decode(&r, &again); err == nil {
			assert.LessOrEqual(t, len(jelly.Format(again)), jelly.DefaultFormatLimit)
		}
	}
}

// TestWalksAreBounded passes hostile graphs to every function that accepts decoded values.
func TestWalksAreBounded(t *testing.T) {
	for name, v := range graph.Hostile() {
		t.Run(name, func(t *testing.T) {
			graph.Within(t, 1<<30, func() { walks(t, v) })
		})
	}
	rapid.Check(t, func(rt *rapid.T) {
		v := graph.Random(rapid.Uint64().Draw(rt, "seed"))
		graph.Within(rt, 256<<20, func() { walks(rt, v) })
	})
}

// A graph that is decoded and encoded again has the same bytes.
func TestGraphRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		v := graph.Random(rapid.Uint64().Draw(rt, "seed"))
		f := jelly.NewFragment(jelly.Context{Profile: banana.ProfilePB})
		defer f.Free()
		if f.Jelly(v) != nil {
			return // A list as a member of a set, for one.
		}
		b, err := f.Append(nil, nil)
		require.NoError(rt, err)
		var r banana.Reader
		r.Reset(b, banana.ProfilePB)
		decoder := jelly.Decoder{Taster: jelly.DefaultSecurity().AllowInstancesOf(graph.Class).AllowTypes("method")}
		var again any
		if decoder.Decode(&r, &again) != nil {
			return
		}
		g := jelly.NewFragment(jelly.Context{Profile: banana.ProfilePB})
		defer g.Free()
		require.NoError(rt, g.Jelly(again))
		b2, err := g.Append(nil, nil)
		require.NoError(rt, err)
		require.Equal(rt, b, b2)
	})
}
