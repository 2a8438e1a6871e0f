package flavors

import (
	"testing"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSplitKw(t *testing.T) {
	for _, tc := range []struct {
		in, args []any
		kw       Kw
	}{
		{nil, nil, nil},
		{[]any{1, 2}, []any{1, 2}, nil},
		{[]any{1, Kw{"a": 1}}, []any{1}, Kw{"a": 1}},
		{[]any{Kw(nil)}, []any{}, nil},
		{[]any{Kw{"a": 1}, 2}, []any{Kw{"a": 1}, 2}, nil},
		{[]any{map[string]any{"a": 1}}, []any{map[string]any{"a": 1}}, nil},
	} {
		args, kw := splitKw(tc.in)
		assert.Equal(t, tc.args, args)
		assert.Equal(t, tc.kw, kw)
	}
}

func encodeKw(t *testing.T, kw Kw) []byte {
	t.Helper()
	f := jelly.NewFragment(jelly.Context{})
	defer f.Free()
	require.NoError(t, kw.jelly(f))
	b, err := f.Append(nil, nil)
	require.NoError(t, err)
	return b
}

func TestKwOnWire(t *testing.T) {
	text := func(b []byte) string {
		expr, _, err := banana.DecodeExpr(b, banana.ProfileNone, banana.Limits{})
		require.NoError(t, err)
		return banana.Format(expr)
	}
	assert.Equal(t, `[dictionary]`, text(encodeKw(t, nil)))
	assert.Equal(t, `[dictionary]`, text(encodeKw(t, Kw{})))
	assert.Equal(t, `[dictionary [["unicode" "a"] 1] [["unicode" "b"] [None]]]`, text(encodeKw(t, Kw{"b": nil, "a": 1})))
}

func TestKwUnsendable(t *testing.T) {
	f := jelly.NewFragment(jelly.Context{})
	defer f.Free()
	err := Kw{"f": func() {}}.jelly(f)
	require.ErrorContains(t, err, "kw")
	require.ErrorIs(t, failureFor(err, false), InsecureJelly)
}
