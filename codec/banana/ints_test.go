package banana

import (
	"math"
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
			switch rapid.IntRange(0, 12).Draw(rt, "kind") {
			case 0:
				frame = AppendString(frame, ProfilePB, rapid.String().Draw(rt, "text"))
			case 1:
				frame = AppendFloat(frame, 1.5)
			case 2: // leading zeros, and none at all
				frame = append(frame, make([]byte, rapid.IntRange(0, 20).Draw(rt, "zeros"))...)
				frame = append(frame, byte(rapid.SampledFrom([]Kind{Int, Neg, LongInt, LongNeg}).Draw(rt, "type byte")))
			case 3:
				frame = AppendInt(
					frame,
					rapid.SampledFrom([]int64{0, -1, 127, 128, math.MaxInt64, math.MinInt64, 1<<49 - 1, 1 << 49, 1 << 56, 1 << 62}).
						Draw(rt, "border"),
				)
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

func TestTake(t *testing.T) {
	var r Reader
	r.Reset([]byte("\x02\x80\x01\x81"), ProfilePB)
	assert.False(t, r.Take("\x02\x80\x01\x81\x01"), "longer than the frame")
	assert.False(t, r.Take("\x02\x80\x02\x81"))
	assert.Zero(t, r.Offset())
	assert.True(t, r.Take("\x02\x80"))
	assert.Equal(t, 2, r.Offset())
	assert.True(t, r.Take("\x01\x81"))
	assert.Empty(t, r.Rest())
}
