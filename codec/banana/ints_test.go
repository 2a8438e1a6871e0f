package banana

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Ints reads the same integers as Next and stops at the first other token.
func TestIntsMatchesNext(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var frame []byte
		for range rapid.IntRange(0, 20).Draw(rt, "elements") {
			switch rapid.IntRange(0, 13).Draw(rt, "kind") {
			case 0:
				frame = AppendString(frame, ProfilePB, rapid.String().Draw(rt, "text"))
			case 1:
				frame = AppendFloat(frame, 1.5)
			case 2: // leading zeros, and none at all
				frame = append(frame, make([]byte, rapid.IntRange(0, 20).Draw(rt, "zeros"))...)
				frame = append(frame, byte(rapid.SampledFrom([]Kind{Int, Neg, LongInt, LongNeg}).Draw(rt, "type byte")))
			case 3:
				borders := []int64{0, -1, 127, 128, math.MaxInt64, math.MinInt64, 1<<49 - 1, 1 << 49, 1 << 56, 1 << 62}
				frame = AppendInt(frame, rapid.SampledFrom(borders).Draw(rt, "border"))
			case 4, 5:
				frame = append(frame, anyRun().Draw(rt, "run")...)
			default:
				frame = AppendInt(frame, rapid.Int64().Draw(rt, "n")>>rapid.IntRange(0, 63).Draw(rt, "shift"))
			}
		}
		frame = frame[:rapid.IntRange(0, len(frame)).Draw(rt, "cut")]
		dst := make([]int64, rapid.IntRange(0, 25).Draw(rt, "room"))
		var fast, slow Reader
		fast.Reset(frame, ProfilePB)
		slow.Reset(frame, ProfilePB)
		n := fast.Ints(dst)
		for i := range n {
			token, err := slow.Next()
			require.NoError(rt, err)
			require.Equal(rt, Int, token.Kind)
			require.Equal(rt, token.Int, dst[i])
		}
		require.Equal(rt, slow.Offset(), fast.Offset())
		if token, err := slow.Next(); n < len(dst) && err == nil {
			require.NotEqual(rt, Int, token.Kind, "it stopped at %d", token.Int)
		}
	})
}

// Each kind of integer follows each kind with the same number of digits, zeros included.
func TestIntsKindsInARun(t *testing.T) {
	kinds := []Kind{Int, LongInt, Neg, LongNeg}
	for digits := range 9 {
		for _, first := range kinds {
			for _, second := range kinds {
				var (
					frame []byte
					want  []int64
					n     int64
				)
				for i := range 12 {
					kind := first
					if i%6 >= 3 {
						kind = second
					}
					number := make([]byte, digits)
					if n = 0; i%3 > 0 && digits > 0 {
						number[digits-1] = byte(i)
						n = int64(i) << (7 * (digits - 1))
					}
					if kind == Neg || kind == LongNeg {
						n = -n
					}
					frame, want = append(append(frame, number...), byte(kind)), append(want, n)
				}
				var r Reader
				r.Reset(frame, ProfilePB)
				got := make([]int64, 20)
				require.Equal(t, want, got[:r.Ints(got)], "%s, %s, %d digits", first, second, digits)
				require.Equal(t, len(frame), r.Offset())
			}
		}
	}
}

// anyRun draws integers that follow each other: mostly with the same number of digits and of the same kind.
func anyRun() *rapid.Generator[[]byte] {
	return rapid.Custom(func(t *rapid.T) (b []byte) {
		kinds := []Kind{Int, LongInt, Neg, LongNeg}
		digits, kind := rapid.IntRange(0, 9).Draw(t, "digits"), rapid.SampledFrom(kinds).Draw(t, "kind")
		for range rapid.IntRange(0, 20).Draw(t, "length") {
			n, k := digits, kind
			switch rapid.IntRange(0, 20).Draw(t, "other") {
			case 0:
				n = rapid.IntRange(0, 12).Draw(t, "other digits")
			case 1:
				k = rapid.SampledFrom(kinds).Draw(t, "other kind")
			}
			number := rapid.SliceOfN(rapid.ByteMax(0x7f), n, n).Draw(t, "number")
			if rapid.IntRange(0, 4).Draw(t, "zero") == 0 {
				clear(number)
			}
			b = append(append(b, number...), byte(k))
		}
		return b
	})
}

// The Scanner counts the integers of a run at once, with the same result as one at a time: ends, errors and costs. Fed
// byte by byte it never has enough for a run.
func TestScannerRuns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := Limits{
			Prefix: rapid.IntRange(1, 12).Draw(t, "Prefix"),
			String: 9,
			List:   rapid.IntRange(20, 60).Draw(t, "List"),
			Depth:  3,
			Frame:  rapid.IntRange(20, 300).Draw(t, "Frame"),
		}
		var stream []byte
		for range rapid.IntRange(1, 4).Draw(t, "lists") {
			stream = AppendList(stream, rapid.IntRange(0, 60).Draw(t, "elements"))
			for range rapid.IntRange(1, 4).Draw(t, "runs") {
				stream = append(stream, anyRun().Draw(t, "run")...)
				stream = append(stream, anyWire().Draw(t, "wire")...)
			}
		}
		requireSameBytewise(t, stream, ProfilePB, l, &Prices{List: 1000, Slot: 100, Number: 7, Big: 50, String: 3, Word: 1})
	})
}

func TestTakeHead(t *testing.T) {
	for _, c := range []struct {
		frame string
		n     int
		ok    bool
	}{
		{"\x01\x80\x0b\x87", 0, true},
		{"\x03\x80\x0b\x87\x01\x81\x02\x81", 2, true},
		{"\x7f\x80\x0b\x87" + strings.Repeat("\x81", 126), 126, true},
		{"\x00\x80\x0b\x87", 0, false},
		{"\x02\x80\x0b\x87", 0, false}, // It is not whole.
		{"\x01\x00\x80\x0b\x87", 0, false},
		{"\x01\x80\x0c\x87", 0, false},
		{"\x01\x80\x0b\x81", 0, false},
		{"\x01\x81\x0b\x87", 0, false},
		{"\x01\x80\x0b", 0, false},
		{"\x80\x80\x0b\x87", 0, false},
	} {
		var r Reader
		r.Reset([]byte(c.frame), ProfilePB)
		n, ok := r.TakeHead(SymTuple)
		assert.Equal(t, c.ok, ok, "% x", c.frame)
		assert.Equal(t, c.n, n, "% x", c.frame)
		if assert.Equal(t, c.ok, r.Offset() == 4) && !ok {
			assert.Zero(t, r.Offset())
		}
		r.Reset([]byte(c.frame), ProfileNone)
		_, ok = r.TakeHead(SymTuple)
		assert.False(t, ok, "% x has no words", c.frame)
	}
}

func TestTake(t *testing.T) {
	var r Reader
	r.Reset([]byte("\x02\x80\x01\x81"), ProfilePB)
	assert.False(t, r.Take("\x02\x80\x01\x81\x01"), "longer than the frame")
	assert.False(t, r.Take("\x02\x80\x02\x81"))
	assert.Zero(t, r.Offset())
	assert.True(t, r.Take("\x02\x80"))
	assert.Equal(t, 2, r.Offset())
	assert.False(t, r.TakeBytes([]byte("\x01\x82")))
	assert.False(t, r.TakeBytes([]byte("\x01\x81\x01")), "longer than the rest")
	assert.Equal(t, 2, r.Offset())
	assert.True(t, r.TakeBytes([]byte("\x01\x81")))
	assert.Empty(t, r.Rest())
}
