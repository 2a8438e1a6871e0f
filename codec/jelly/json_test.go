package jelly_test

import (
	"encoding/json"
	"math"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/graph"
)

func TestMarshalJSON(t *testing.T) {
	short := []any{int64(1)}
	for _, c := range []struct {
		v    any
		want string
	}{
		{jelly.Tuple{nil, true, int64(-1), 2, 1.5, "a\"<", []byte("b")}, `[null,true,-1,2,1.5,"a\"\u003c","Yg=="]`},
		{jelly.Tuple{new(big.Int).Lsh(big.NewInt(1), 70), math.NaN(), jelly.Class("a.B"), time.Second},
			`[1180591620717411303424,"NaN","\u003cclass a.B\u003e","\u003ctimedelta 1s\u003e"]`},
		{jelly.NewDict(jelly.Entry{Key: "a", Value: short}, jelly.Entry{Key: []byte("b"), Value: short},
			jelly.Entry{Key: int64(1), Value: nil}), `{"a":[1],"b":[1],"1":null}`},
		{jelly.Entry{Key: "a", Value: jelly.NewSet("x")}, `{"a":["x"]}`},
		{jelly.NewFrozenSet(jelly.Tuple{}), `[[]]`},
		{&jelly.Instance{Class: "a.B", State: jelly.NewDict()}, `{"class":"a.B","state":{}}`},
		{jelly.Method{Name: "m", Self: "s"}, `"\u003cmethod m\u003e(\"s\")"`},
		{jelly.Persistent{ID: int64(1)}, `"\u003cpersistent 1\u003e"`},
		{&jelly.Unbound{Tag: "remote", ID: 1}, `"\u003cremote 1\u003e"`},
		{jelly.Tuple{(*jelly.Dict)(nil), (*jelly.Set)(nil), (*jelly.FrozenSet)(nil), (*jelly.Instance)(nil), (*big.Int)(nil)},
			`[null,null,null,null,"None"]`},
		{(*jelly.Dict)(nil), `null`},
	} {
		b, err := json.Marshal(c.v)
		require.NoError(t, err)
		assert.Equal(t, c.want, string(b))
	}
}

// A graph gives JSON of bounded size or an error.
func TestMarshalJSONIsBounded(t *testing.T) {
	check := func(t graph.TB, v any) {
		graph.Within(t, 1<<30, func() {
			b, err := json.Marshal(jelly.Tuple{v})
			if err != nil {
				assert.ErrorContains(t, err, "use jelly.Format")
			} else {
				assert.True(t, json.Valid(b))
				assert.Less(t, len(b), 20<<20)
			}
		})
	}
	for name, v := range graph.Hostile() {
		t.Run(name, func(t *testing.T) { check(t, v) })
	}
	check(t, graph.Nested(graph.List, 100_000, nil))
	for seed := range uint64(20) {
		check(t, graph.Random(seed))
	}
}
