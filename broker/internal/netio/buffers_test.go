package netio

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestPooledBufferSize(t *testing.T) {
	for _, size := range bufferSizes {
		for _, odd := range []int{size, size + 1, size + size/4, size + size/4 + 1, size + size/2, 2*size - 1, 2 * size} {
			PutBuffer(make([]byte, 10, odd))
			b := GetBuffer(size)
			assert.Empty(t, b)
			assert.Equal(t, size, cap(b), "after a buffer of %d bytes was put back", odd)
		}
	}
	assert.Equal(t, 3<<20, cap(GetBuffer(3<<20)))
}
