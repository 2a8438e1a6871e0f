package longbuf

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestSizes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, Max+1000).Draw(t, "n")
		size := SizeOf(n)
		require.GreaterOrEqual(t, size, n)
		require.LessOrEqual(t, size-n, n/16)
		require.Equal(t, size, SizeOf(size))
		b := Get(n)
		require.Empty(t, b)
		require.Equal(t, size, cap(b))
		Put(b)
	})
}

// Each size has a pool of its own.
func TestPools(t *testing.T) {
	seen := map[any]int{}
	for n := Min + 1; n <= Max; n += 64 {
		size := SizeOf(n)
		p := poolOf(size)
		require.NotNil(t, p)
		if other, ok := seen[p]; ok {
			require.Equal(t, other, size)
		}
		seen[p] = size
	}
	assert.Len(t, seen, len(pools))
	assert.Nil(t, poolOf(Min), "too short")
	assert.Nil(t, poolOf(Max+1), "too long")
	assert.Nil(t, poolOf(Max-1), "no size of a buffer")
}

func TestClone(t *testing.T) {
	from := make([]byte, 100_000)
	from[99_999] = 7
	b := Clone(from)
	assert.Equal(t, from, b)
	from[0] = 1
	assert.Zero(t, b[0])
}
