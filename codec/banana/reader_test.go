package banana

import (
	"errors"
	"io"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestReaderTokens(t *testing.T) {
	frame := aCall(nil)
	frame = AppendFloat(frame, 2.5)
	var r Reader
	r.Reset(frame, ProfilePB)
	assert.Equal(t, ProfilePB, r.Profile())
	want := []Token{
		{Kind: List, Int: 7},
		{Kind: Vocab, Int: int64(SymMessage)},
		{Kind: Int, Int: 1},
		{Kind: String, Bytes: []byte("root")},
		{Kind: String, Bytes: []byte("add")},
		{Kind: Int, Int: 1},
		{Kind: List, Int: 3},
		{Kind: Vocab, Int: int64(SymTuple)},
		{Kind: Int, Int: 1},
		{Kind: Int, Int: 2},
		{Kind: List, Int: 1},
		{Kind: Vocab, Int: int64(SymDictionary)},
		{Kind: Float, Float: 2.5},
	}
	for i, token := range want {
		assert.Equal(t, token.Kind, r.Peek(), i)
		got, err := r.Next()
		require.NoError(t, err, i)
		assert.Equal(t, token, got, i)
	}
	assert.Zero(t, r.Peek())
	assert.Empty(t, r.Rest())
	_, err := r.Next()
	assert.Equal(t, io.EOF, err)
	assert.Equal(t, io.EOF, r.Skip())
	assert.Equal(t, len(frame), r.Offset())
}

func TestZeroReaderIsEmpty(t *testing.T) {
	var r Reader
	_, err := r.Next()
	assert.Equal(t, io.EOF, err)
	assert.Empty(t, r.Rest())
}

func TestStringsAliasTheFrame(t *testing.T) {
	frame := []byte("\x02\x82hi\x01\x81")
	var r Reader
	r.Reset(frame, ProfileNone)
	token, err := r.Next()
	require.NoError(t, err)
	assert.Same(t, &frame[2], &token.Bytes[0])
	_ = append(token.Bytes, '!')
	assert.Equal(t, byte(1), frame[4])
}

func TestReaderErrors(t *testing.T) {
	zeros := func(n int, rest string) string { return string(make([]byte, n)) + rest }
	cases := []struct {
		name  string
		frame string
		want  error
	}{
		{"header cut short", "\x01", &TruncatedError{}},
		{"long header cut short", zeros(80, ""), &TruncatedError{}},
		{"string cut short", "\x03\x82ab", &TruncatedError{}},
		{"string of 2^62", zeros(8, "\x40\x82"), &TruncatedError{}},
		{"string of 2^63", zeros(9, "\x01\x82"), &TruncatedError{}},
		{"list that cannot fit", "\x03\x80\x81\x81", &TruncatedError{}},
		{"list of 2^62", zeros(8, "\x40\x80"), &TruncatedError{}},
		{"list of 2^64", zeros(9, "\x02\x80"), &TruncatedError{}},
		{"float cut short", "\x841234567", &TruncatedError{}},
		{"float with a long header cut short", zeros(70, "\x841234567"), &TruncatedError{}},
		{"word 0", "\x00\x87", &SyntaxError{What: "no vocabulary word has index 0 (they are 1 to 31)"}},
		{"word 32", "\x20\x87", &SyntaxError{What: "no vocabulary word has index 32 (they are 1 to 31)"}},
		{"word 2^62", zeros(8, "\x40\x87"), &SyntaxError{What: "a vocabulary element with a huge index"}},
		{"word 2^64", zeros(9, "\x02\x87"), &SyntaxError{What: "a vocabulary element with a huge index"}},
		{"type byte", "\x01\xff", &SyntaxError{What: "unknown type byte 0xff (" + anotherProtocol + ")"}},
		{
			"type byte behind a long header",
			zeros(9, "\x02\xff"),
			&SyntaxError{What: "unknown type byte 0xff (" + anotherProtocol + ")"},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var r Reader
			r.Reset([]byte(c.frame), ProfilePB)
			_, err := r.Next()
			assert.Equal(t, c.want, err)
			assert.NotEmpty(t, err.Error())
			assert.Zero(t, r.Offset())
			assert.Zero(t, r.Peek())
			assert.Equal(t, c.want, r.Skip())
			assert.Zero(t, r.Offset())
			_, isTruncated := c.want.(*TruncatedError)
			assert.Equal(t, isTruncated, errors.Is(err, io.ErrUnexpectedEOF))
		})
	}
	assert.EqualError(t, &TruncatedError{Offset: 3}, "banana: the expression ends within the element at byte 3")
}

func TestReaderVocabInProfileNone(t *testing.T) {
	var r Reader
	r.Reset([]byte("\x0b\x87"), ProfileNone)
	_, err := r.Next()
	assert.Equal(t, &SyntaxError{What: `a vocabulary element in profile "none", which has no vocabulary`}, err)
}

func TestFloatHeaderIgnored(t *testing.T) {
	for _, digits := range []int{0, 1, 9, 10, 64} {
		b := make([]byte, digits)
		for i := range b {
			b[i] = 0x7f
		}
		token := readOne(t, append(b, AppendFloat(nil, -1.5)...), ProfileNone)
		assert.Equal(t, Token{Kind: Float, Float: -1.5}, token)
	}
}

func TestSmallestInt64(t *testing.T) {
	for _, kind := range []Kind{Neg, LongNeg} {
		digits := []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 1}
		want := Token{Kind: Int, Int: math.MinInt64}
		assert.Equal(t, want, readOne(t, append(digits, byte(kind)), ProfileNone))
		assert.Equal(t, want, readOne(t, append(digits, 0, 0, byte(kind)), ProfileNone))
		digits[0] = 1
		assert.Equal(t, Token{Kind: LongNeg, Bytes: digits}, readOne(t, append(digits, byte(kind)), ProfileNone))
	}
}

func TestSkip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := anyProfile().Draw(t, "profile")
		first, err := EncodeExpr(p, anyExpr(3).Draw(t, "first"))
		require.NoError(t, err)
		second, err := EncodeExpr(p, anyExpr(3).Draw(t, "second"))
		require.NoError(t, err)
		frame := append(first[:len(first):len(first)], second...)

		var r Reader
		r.Reset(frame, p)
		require.NoError(t, r.Skip())
		assert.Equal(t, len(first), r.Offset())
		assert.Equal(t, second, r.Rest())
		require.NoError(t, r.Skip())
		assert.Empty(t, r.Rest())

		// No shorter piece is complete.
		cut := rapid.IntRange(0, len(first)-1).Draw(t, "cut")
		r.Reset(first[:cut], p)
		err = r.Skip()
		assert.True(t, err == io.EOF && cut == 0 || errors.Is(err, io.ErrUnexpectedEOF), "%v", err)
		assert.Zero(t, r.Offset())
	})
}

func TestSkipDeepLists(t *testing.T) {
	frame := nestedLists(1_000_000)
	var r Reader
	r.Reset(frame, ProfileNone)
	require.NoError(t, r.Skip())
	assert.Equal(t, len(frame), r.Offset())
}

func TestTokenOfOtherKind(t *testing.T) {
	list := Token{Kind: List, Int: 3}
	assert.Nil(t, list.Big())
	assert.False(t, list.IsInt())
	assert.False(t, list.IsText())
	assert.Empty(t, list.Text())
	assert.Empty(t, list.AppendText(nil))
	assert.False(t, list.TextIs(""))
	_, ok := list.Symbol()
	assert.False(t, ok)
}

func TestReadingDoesNotAllocate(t *testing.T) {
	frame := aCall(nil)
	var r Reader
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		r.Reset(frame, ProfilePB)
		for {
			token, err := r.Next()
			if err != nil {
				break
			}
			if token.IsText() {
				token.Symbol()
				token.TextIs("root")
			}
		}
		r.Reset(frame, ProfilePB)
		_ = r.Skip()
	}))
}

func TestTakeInt(t *testing.T) {
	for _, n := range []int64{0, 1, 127, 128, 1 << 14, 1<<28 - 1, 1 << 28, 1<<31 - 1, 1 << 31, 1 << 62, -1, -1 << 31} {
		frame := AppendInt(AppendInt(nil, n), 5)
		var r Reader
		r.Reset(frame, ProfilePB)
		got, ok := r.TakeInt()
		assert.Equal(t, n >= 0 && n < 1<<28, ok, "%d", n)
		if !ok {
			assert.Zero(t, r.Offset(), "%d: it stays where it was", n)
			require.NoError(t, r.Skip())
		} else {
			assert.Equal(t, n, got)
		}
		got, ok = r.TakeInt()
		assert.True(t, ok)
		assert.EqualValues(t, 5, got)
	}
	for _, frame := range []string{
		"", "\x81", "\x05", "\x00\x00\x00\x00", "\x01\x82a", "\x01\x85", "\x01\x80", "\x00\x00\x00\x00\x00\x81",
	} {
		var r Reader
		r.Reset([]byte(frame), ProfilePB)
		_, ok := r.TakeInt()
		assert.False(t, ok, "% x", frame)
		assert.Zero(t, r.Offset())
	}
}
