package jelly

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/codec/banana"
)

func show(t *testing.T, v any) string {
	f := NewFragment(Context{Profile: banana.ProfilePB})
	defer f.Free()
	require.NoError(t, f.Jelly(v))
	b, err := f.Append(nil, nil)
	require.NoError(t, err)
	require.Equal(t, len(b), f.Len())
	x, _, err := banana.DecodeExpr(b, banana.ProfilePB, banana.Limits{})
	require.NoError(t, err)
	return banana.Format(x)
}

func TestQuick(t *testing.T) {
	l := []any{1, 2, nil, "x", []byte("list")}
	cyc := []any{nil, l, l}
	cyc[0] = cyc
	t.Log(show(t, cyc))
	f := NewFragment(Context{Profile: banana.ProfilePB})
	require.NoError(t, f.Jelly(cyc))
	b, _ := f.Append(nil, nil)
	var r banana.Reader
	r.Reset(b, banana.ProfilePB)
	var d Decoder
	var v any
	require.NoError(t, d.Decode(&r, &v))
	t.Log(show(t, v))
	t.Log(show(t, map[string]any{"b": Tuple{1.5, true}, "a": map[int][]string{2: {"x"}, 1: nil}}))
	type P struct {
		X    int `pb:"x"`
		Next *P  `pb:"next,omitempty"`
	}
	p := &P{X: 3}
	p.Next = p
	t.Log(show(t, p))
	var q *P
	require.NoError(t, Assign(&q, NewDict(Entry{"x", int64(4)}, Entry{[]byte("next"), nil})))
	require.Equal(t, 4, q.X)
}
