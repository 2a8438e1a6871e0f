package codecs

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEveryCodecHandlesEveryValue(t *testing.T) {
	rows, err := Measure(1, time.Millisecond)
	require.NoError(t, err)
	assert.Len(t, rows, 3*2*5)
	for _, row := range rows {
		assert.Positive(t, row.NsPerOp, row.Workload)
		assert.NotNil(t, row.Allocs)
	}
}
