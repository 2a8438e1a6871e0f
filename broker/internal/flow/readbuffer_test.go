package flow

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestGrownSize(t *testing.T) {
	const k = 1 << 10
	for _, test := range []struct{ received, need, size int }{
		{4 * k, 5 * k, 64 * k},
		{4 * k, 60 * k, 64 * k},
		{4 * k, 64 * k, 64 * k},
		{4 * k, 65 * k, 64 * k}, // more than sixteen times what was received
		{4 * k, 1 << 40, 64 * k},
		{64 * k, 65 * k, 256 * k}, // little is missing: the next message will be larger
		{64 * k, 128 * k, 128*k + tailRoom},
		{64 * k, 256 * k, 256 * k}, // a share
		{64 * k, 512*k + 40, 512*k + 40 + tailRoom},
		{64 * k, 1024*k + 1, 256 * k},
		{256 * k, 300 * k, 1024 * k},
		{1024 * k, 1100 * k, 2048 * k}, // doubled, so that the bytes moved are proportional to those received
		{1024 * k, 3000 * k, 3000*k + tailRoom},
	} {
		size := grownSize(test.received, test.need)
		assert.Equal(t, test.size, size, "received %d, need %d", test.received, test.need)
		assert.LessOrEqual(t, size, maxGrowth*test.received+tailRoom)
	}
}

func TestAliasFrom(t *testing.T) {
	const k = 1 << 10
	assert.Zero(t, aliasFrom(60*k, 64*k), "too small")
	assert.Equal(t, 56*k, aliasFrom(64*k, 64*k))
	assert.Equal(t, 448*k, aliasFrom(512*k, 512*k+tailRoom))
	assert.Zero(t, aliasFrom(512*k, 1024*k), "half a megabyte would retain a whole one")
}
