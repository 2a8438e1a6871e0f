package banana

import (
	"bytes"
	"fmt"
	"math"
	"math/big"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestIntegerKinds(t *testing.T) {
	cases := []struct {
		n    int64
		want string
	}{
		{0, "0081"},
		{1, "0181"},
		{-1, "0183"},
		{127, "7f81"},
		{128, "000181"},
		{-128, "000183"},
		{math.MaxInt32, "7f7f7f7f0781"},
		{math.MaxInt32 + 1, "000000000885"},
		{math.MinInt32, "000000000883"},
		{math.MinInt32 - 1, "010000000886"},
		{math.MaxInt64, "7f7f7f7f7f7f7f7f7f85"},
		{math.MinInt64, "0000000000000000000186"},
		{math.MinInt64 + 1, "7f7f7f7f7f7f7f7f7f86"},
	}
	for _, c := range cases {
		assert.Equal(t, c.want, fmt.Sprintf("%x", AppendInt(nil, c.n)), "%d", c.n)
		b, err := AppendBig(nil, big.NewInt(c.n))
		require.NoError(t, err)
		assert.Equal(t, c.want, fmt.Sprintf("%x", b), "big %d", c.n)
		if c.n >= 0 {
			assert.Equal(t, c.want, fmt.Sprintf("%x", AppendUint(nil, uint64(c.n))), "uint %d", c.n)
		}
	}
	assert.Equal(t, "7f7f7f7f7f7f7f7f7f0185", fmt.Sprintf("%x", AppendUint(nil, math.MaxUint64)))
}

// readOne reads the only token of a frame.
func readOne(t require.TestingT, frame []byte, p Profile) Token {
	var r Reader
	r.Reset(frame, p)
	token, err := r.Next()
	require.NoError(t, err)
	require.Equal(t, len(frame), r.Offset())
	return token
}

func TestIntegerRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64().Draw(t, "int64")
		token := readOne(t, AppendInt(nil, n), ProfileNone)
		assert.Equal(t, Token{Kind: Int, Int: n}, token)
		assert.Equal(t, big.NewInt(n), token.Big())

		u := rapid.Uint64().Draw(t, "uint64")
		assert.Equal(t, new(big.Int).SetUint64(u), readOne(t, AppendUint(nil, u), ProfileNone).Big())

		b := anyBig().Draw(t, "big")
		frame, err := AppendBig(nil, b)
		require.NoError(t, err)
		token = readOne(t, frame, ProfileNone)
		assert.Zero(t, b.Cmp(token.Big()), "%v %v", b, token.Big())
		assert.Equal(t, b.IsInt64(), token.Kind == Int)
		assert.True(t, token.IsInt())

		// Leading zeros and the kind do not matter.
		kind, digits := frame[len(frame)-1], bytes.Clone(frame[:len(frame)-1])
		digits = append(digits, make([]byte, rapid.IntRange(0, 20).Draw(t, "zeros"))...)
		kinds := map[byte][]byte{
			byte(Int): {byte(Int), byte(LongInt)}, byte(Neg): {byte(Neg), byte(LongNeg)},
			byte(LongInt): {byte(Int), byte(LongInt)}, byte(LongNeg): {byte(Neg), byte(LongNeg)},
		}
		kind = rapid.SampledFrom(kinds[kind]).Draw(t, "kind")
		other := readOne(t, append(digits, kind), ProfileNone)
		assert.Equal(t, token, other)
	})
}

func TestBigIntegerLimit(t *testing.T) {
	largest := new(big.Int).Lsh(big.NewInt(1), 448)
	largest.Sub(largest, big.NewInt(1))
	for _, sign := range []int64{1, -1} {
		n := new(big.Int).Mul(largest, big.NewInt(sign))
		b, err := AppendBig([]byte("x"), n)
		require.NoError(t, err)
		assert.Len(t, b, 1+64+1)
		assert.Zero(t, n.Cmp(readOne(t, b[1:], ProfileNone).Big()))

		n.Add(n, big.NewInt(sign))
		b, err = AppendBig([]byte("x"), n)
		assert.Equal(t, []byte("x"), b)
		assert.Equal(t, &EncodeError{Limit: LimitPrefix, Size: 449, Max: 448}, err)
		assert.EqualError(t, err, "banana: cannot send an integer of 449 bits: at most 448 fit; send it as a string")
	}
	b, err := AppendBig([]byte("x"), nil)
	assert.Equal(t, []byte("x"), b)
	assert.EqualError(t, err, "banana: cannot send a nil *big.Int; send a number or None")
}

func TestFloatRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := anyFloat().Draw(t, "float")
		token := readOne(t, AppendFloat(nil, f), ProfileNone)
		assert.Equal(t, Float, token.Kind)
		assert.Equal(t, math.Float64bits(f), math.Float64bits(token.Float))
	})
}

func TestTextRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := anyProfile().Draw(t, "profile")
		s := anyText().Draw(t, "text")
		frame := AppendBytes(nil, p, s)
		assert.Equal(t, frame, AppendString(nil, p, string(s)))
		token := readOne(t, frame, p)
		assert.True(t, token.IsText())
		assert.Equal(t, string(s), token.Text())
		assert.Equal(t, "-"+string(s), string(token.AppendText([]byte("-"))))
		assert.True(t, token.TextIs(string(s)))
		assert.False(t, token.TextIs(string(s)+"x"))

		want, isWord := LookupSymbol(s)
		got, ok := token.Symbol()
		assert.Equal(t, isWord, ok)
		assert.Equal(t, want, got)
		assert.Equal(t, isWord && p != ProfileNone, token.Kind == Vocab)
	})
}

func TestListHeads(t *testing.T) {
	assert.Equal(t, "0080", fmt.Sprintf("%x", AppendList(nil, 0)))
	assert.Equal(t, "7f80", fmt.Sprintf("%x", AppendList(nil, 127)))
	assert.Equal(t, "000180", fmt.Sprintf("%x", AppendList(nil, 128)))
	assert.Equal(t, "00002880", fmt.Sprintf("%x", AppendList(nil, DefaultList)))
	assert.Equal(t, "0080", fmt.Sprintf("%x", AppendList(nil, -1)))
}

func TestAppendSymbol(t *testing.T) {
	assert.Equal(t, "\x0b\x87", string(AppendSymbol(nil, ProfilePB, SymTuple)))
	assert.Equal(t, "\x05\x82tuple", string(AppendSymbol(nil, ProfileNone, SymTuple)))
	for _, p := range allProfiles {
		assert.Equal(t, "\x09\x82Symbol(0)", string(AppendSymbol(nil, p, 0)))
		assert.Equal(t, "\x0a\x82Symbol(32)", string(AppendSymbol(nil, p, 32)))
	}
}

func TestCheckLimits(t *testing.T) {
	small := Limits{String: 3, List: 4, Depth: 5, Frame: 6}
	cases := []struct {
		check func(Limits, int) error
		limit Limit
		small int
		stock int
		text  string
	}{
		{
			Limits.CheckString,
			LimitString,
			3,
			DefaultString,
			"banana: cannot send a string of 4 bytes: peers accept at most 3; send it in pieces",
		},
		{
			Limits.CheckList,
			LimitList,
			4,
			DefaultList,
			"banana: cannot send a list of 5 elements: peers accept at most 4; send it in pieces",
		},
		{
			Limits.CheckDepth,
			LimitDepth,
			5,
			DefaultDepth,
			"banana: cannot send lists nested 6 levels deep: at most 5 are allowed; flatten the value",
		},
		{
			Limits.CheckFrame,
			LimitFrame,
			6,
			DefaultFrame,
			"banana: cannot send an expression of 7 bytes: at most 6 are allowed; send it in pieces",
		},
	}
	for _, c := range cases {
		assert.NoError(t, c.check(small, c.small))
		err := c.check(small, c.small+1)
		assert.Equal(t, &EncodeError{Limit: c.limit, Size: c.small + 1, Max: c.small}, err)
		assert.EqualError(t, err, c.text)
		assert.NoError(t, c.check(Limits{}, c.stock))
		assert.Equal(t, &EncodeError{Limit: c.limit, Size: c.stock + 1, Max: c.stock}, c.check(Limits{}, c.stock+1))
	}
}

func TestEncodingDoesNotAllocate(t *testing.T) {
	buf := make([]byte, 0, 1024)
	huge := new(big.Int).Lsh(big.NewInt(3), 300)
	word, other := []byte("dictionary"), []byte("dictionaries")
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		b := aCall(buf)
		b = AppendInt(b, math.MinInt64)
		b = AppendFloat(b, 1.5)
		b, _ = AppendBig(b, huge)
		b = AppendBytes(b, ProfilePB, word)
		AppendBytes(b, ProfilePB, other)
	}))
}
