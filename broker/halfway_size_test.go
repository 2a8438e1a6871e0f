package broker

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestBuffersGrowWithWhatWasReceived(t *testing.T) {
	const k = 1 << 10
	for _, test := range []struct{ received, need, size int }{
		{4 * k, 5 * k, 64 * k},
		{4 * k, 60 * k, 64 * k},
		{4 * k, 64 * k, 64 * k},
		{4 * k, 65 * k, 64 * k}, // more than sixteen times as much as has come
		{4 * k, 1 << 40, 64 * k},
		{64 * k, 65 * k, 256 * k}, // little is missing: the next will be larger
		{64 * k, 128 * k, 128*k + tailRoom},
		{64 * k, 256 * k, 256 * k}, // what a connection may have in any case
		{64 * k, 512*k + 40, 512*k + 40 + tailRoom},
		{64 * k, 1024*k + 1, 256 * k},
		{256 * k, 300 * k, 1024 * k},
		{1024 * k, 1100 * k, 2048 * k}, // each is twice the one before, so that what is moved in all is in proportion
		{1024 * k, 3000 * k, 3000*k + tailRoom},
	} {
		size := grownSize(test.received, test.need)
		assert.Equal(t, test.size, size, "received %d, need %d", test.received, test.need)
		assert.LessOrEqual(t, size, largestGrowth*test.received+tailRoom)
	}
}

func TestFramesAreKeptThatFillTheirBuffers(t *testing.T) {
	const k = 1 << 10
	assert.Zero(t, keepFrom(60*k, 64*k), "too small to be worth it")
	assert.Equal(t, 56*k, keepFrom(64*k, 64*k))
	assert.Equal(t, 448*k, keepFrom(512*k, 512*k+tailRoom))
	assert.Zero(t, keepFrom(512*k, 1024*k), "half a megabyte would keep a whole one")
}
