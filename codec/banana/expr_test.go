package banana

import (
	"bytes"
	"io"
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestExprRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := anyProfile().Draw(t, "profile")
		e := anyExpr(4).Draw(t, "expr")
		b, err := EncodeExpr(p, e)
		require.NoError(t, err)
		got, n, err := DecodeExpr(append(b, "rest"...), p, Limits{})
		require.NoError(t, err)
		assert.Equal(t, len(b), n)
		assert.Equal(t, toJSONValue(e), toJSONValue(got))

		// Encoding is canonical: what was decoded is encoded the same.
		again, err := EncodeExpr(p, got)
		require.NoError(t, err)
		assert.Equal(t, b, again)
	})
}

func TestEncodeExprTypes(t *testing.T) {
	b, err := EncodeExpr(ProfilePB, []Expr{
		1, int64(-2), uint64(math.MaxUint64), big.NewInt(3), 1.5, []byte("x"), "y", SymTuple, []Expr(nil),
	})
	require.NoError(t, err)
	e, _, err := DecodeExpr(b, ProfilePB, Limits{})
	require.NoError(t, err)
	assert.Equal(t, []Expr{
		int64(1), int64(-2), new(big.Int).SetUint64(math.MaxUint64), int64(3), 1.5,
		[]byte("x"), []byte("y"), []byte("tuple"), []Expr{},
	}, e)
}

func TestEncodeExprRefuses(t *testing.T) {
	cyclic := []Expr{1, nil}
	cyclic[1] = cyclic
	cases := []struct {
		name string
		expr Expr
		want string
	}{
		{"nil", nil, "banana: cannot send a <nil>: an Expr is an integer"},
		{"a type it does not know", []Expr{1, []Expr{true}}, "element 1: element 0: banana: cannot send a bool"},
		{"no such word", Symbol(32), "banana: cannot send Symbol(32): the vocabulary is 1 to 31"},
		{"a long string", []Expr{strings.Repeat("x", 9)}, "element 0: banana: cannot send a string of 9 bytes"},
		{"long bytes", bytes.Repeat([]byte("x"), 9), "banana: cannot send a string of 9 bytes"},
		{"a long list", make([]Expr, 6), "banana: cannot send a list of 6 elements"},
		{"a large integer", new(big.Int).Lsh(big.NewInt(1), 448), "banana: cannot send an integer of 449 bits"},
		{"no integer", (*big.Int)(nil), "banana: cannot send a nil *big.Int"},
		{"depth", cyclic, "element 1: element 1: element 1: banana: cannot send lists nested 4 levels deep"},
		{"a long frame", []Expr{"12345678", "12345678", "1234"}, "banana: cannot send an expression of 28 bytes"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b, err := AppendExpr([]byte("before"), ProfilePB, c.expr, Limits{String: 8, List: 5, Depth: 3, Frame: 27})
			assert.ErrorContains(t, err, c.want)
			assert.Equal(t, "before", string(b))
		})
	}
	_, err := EncodeExpr(ProfilePB, cyclic)
	require.Error(t, err)
	assert.Less(t, len(err.Error()), 300, "the path is cut")
}

func TestDecodeExprLimits(t *testing.T) {
	_, _, err := DecodeExpr(nestedLists(4), ProfilePB, Limits{Depth: 3})
	var limit *LimitError
	require.ErrorAs(t, err, &limit)
	assert.Equal(t, LimitDepth, limit.Limit)

	e, n, err := DecodeExpr(nestedLists(100_000), ProfilePB, Limits{Depth: 100_000})
	require.NoError(t, err)
	assert.Equal(t, 200_000, n)
	assert.Contains(t, Format(e), "[[…]]")
}

func TestDecodeExprTruncated(t *testing.T) {
	frame := aCall(nil)
	for cut := range frame {
		e, n, err := DecodeExpr(frame[:cut], ProfilePB, Limits{})
		assert.Nil(t, e)
		assert.Zero(t, n)
		assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
	}
}

func TestBuildExprOfAnyBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		frame := anyWire().Draw(t, "frame")
		var r Reader
		r.Reset(frame, ProfilePB)
		skipErr := r.Skip()
		end := r.Offset()
		r.Reset(frame, ProfilePB)
		_, err := buildExpr(&r)
		assert.Equal(t, skipErr == nil, err == nil, "%v %v", skipErr, err)
		if err == nil {
			assert.Equal(t, end, r.Offset())
		}
	})
}

func TestFormat(t *testing.T) {
	cases := []struct {
		expr Expr
		want string
	}{
		{[]Expr{"message", 1, "root", "add", 1, []Expr{SymTuple, int64(1), uint64(2)}, []Expr{"dictionary"}},
			`[message 1 "root" "add" 1 [tuple 1 2] [dictionary]]`},
		{[]Expr{}, "[]"},
		{[]byte("a\"\n\xff"), `"a\"\n\xff"`},
		{1.0, "1.0"},
		{-2.5e300, "-2.5e+300"},
		{math.NaN(), "NaN"},
		{math.Inf(-1), "-Inf"},
		{new(big.Int).Lsh(big.NewInt(1), 70), "1180591620717411303424"},
		{nil, "<<nil>>"},
		{true, "<bool>"},
	}
	for _, c := range cases {
		assert.Equal(t, c.want, Format(c.expr))
	}
}

func TestFormatFrameMatchesFormat(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := anyProfile().Draw(t, "profile")
		e := anyExpr(3).Draw(t, "expr")
		b, err := EncodeExpr(p, e)
		require.NoError(t, err)
		want := Format(e)
		assert.Equal(t, want, FormatFrame(b, p, 0))
		assert.Equal(t, want, FormatFrame(b, p, len(want)))
		assert.Equal(t, want+" "+want, FormatFrame(append(b[:len(b):len(b)], b...), p, 0))

		limit := rapid.IntRange(1, len(want)).Draw(t, "limit")
		if cut := FormatFrame(b, p, limit); limit < len(want) {
			assert.LessOrEqual(t, len(cut), limit+len("…"))
			assert.True(t, strings.HasSuffix(cut, "…"))
			assert.True(t, strings.HasPrefix(want, strings.TrimSuffix(cut, "…")))
		}
	})
}

func TestFormatFrameMalformed(t *testing.T) {
	cases := map[string]string{
		"":                                  "",
		"\x02\x80\x01\x81":                  "[1 <banana: the expression ends within the element at byte 4>]",
		"\x02\x80\x01\x81\x05":              "[1 <banana: the expression ends within the element at byte 4>]",
		"\x01\x81\xff":                      "1 <banana: unknown type byte 0xff, at byte 2 of the expression>",
		"\x01\x80\x00\x80\x01\x81":          "[[]] 1",
		strings.Repeat("\x7f", 65) + "\x86": "<longneg of 65 digits in base 128>",
	}
	for frame, want := range cases {
		got := FormatFrame([]byte(frame), ProfilePB, 0)
		assert.Equal(t, strings.TrimSuffix(want, "]"), strings.TrimSuffix(got, "]"), "%q", frame)
	}
	assert.Equal(t, "[[[[…", FormatFrame(nestedLists(100_000), ProfilePB, 4))
}

func TestNegotiationErrors(t *testing.T) {
	offer, err := EncodeExpr(ProfileNone, []Expr{"xyz", 1, []Expr{"pb"}, strings.Repeat("é", 40)})
	require.NoError(t, err)
	_, err = ChooseProfile(offer)
	assert.EqualError(
		t,
		err,
		`banana: no profile in common: the peer named ["xyz" "éééééééééééééééé…"], we speak ["pb" "none"]`,
	)

	_, err = ChooseProfile(AppendOffer(nil), ProfileNone)
	assert.NoError(t, err)
	_, err = ChooseProfile(AppendOffer(nil, ProfilePB), ProfileNone)
	var refused *NegotiationError
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, &NegotiationError{Theirs: []string{"pb"}, Ours: []Profile{ProfileNone}}, refused)

	_, err = ParseChoice(AppendChoice(nil, ProfilePB), ProfileNone)
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, &NegotiationError{Theirs: []string{"pb"}, Ours: []Profile{ProfileNone}}, refused)

	_, err = ChooseProfile([]byte("\x02\x82pb"))
	assert.ErrorContains(t, err, "the peer began with an element of type string, not with its list of profiles")
	_, err = ParseChoice([]byte("\x00\x80"))
	assert.ErrorContains(t, err, "the peer answered with an element of type list, not with the name of a profile")
}

func TestNegotiationOfAnyBytes(t *testing.T) {
	for _, piece := range []string{
		"", "\x01", "\x02\x80\x05\x82xyzab", "\x02\x80\x81", "\x01\x80\x01\x80", "\x01\x80\x0b\x87", "\x01\x80\xff",
	} {
		_, err := ChooseProfile([]byte(piece))
		assert.Error(t, err, "%q", piece)
		assert.NotErrorIs(t, err, io.EOF, "%q", piece)
	}
	for _, piece := range []string{"", "\x02", "\x02\x82p", "\x0b\x87"} {
		_, err := ParseChoice([]byte(piece))
		assert.Error(t, err, "%q", piece)
		assert.NotErrorIs(t, err, io.EOF, "%q", piece)
	}
	rapid.Check(t, func(t *rapid.T) {
		b := anyWire().Draw(t, "bytes")
		_, _ = ChooseProfile(b)
		_, _ = ParseChoice(b)
	})
}
