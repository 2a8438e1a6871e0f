package broker

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestPooledBuffersHaveTheirSize: what a buffer for a message grows to depends on the one before, and what it counts
// for in the runtime's total.
func TestPooledBuffersHaveTheirSize(t *testing.T) {
	for _, size := range bufferSizes {
		for _, odd := range []int{size, size + 1, size + size/4, size + size/4 + 1, size + size/2, 2*size - 1, 2 * size} {
			giveBuffer(make([]byte, 10, odd))
			b := takeBuffer(size)
			assert.Empty(t, b)
			assert.Equal(t, size, cap(b), "after one of %d bytes was given back", odd)
		}
	}
	assert.Equal(t, 3<<20, cap(takeBuffer(3<<20)))
}
