package codecs

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEveryCodecHandlesEveryValue(t *testing.T) {
	rows, err := Measure(1, time.Millisecond)
	require.NoError(t, err)
	found := map[string]int{}
	for _, row := range rows {
		found[row.Name]++
		assert.Positive(t, row.NsPerOp, row.Workload)
		assert.Equal(t, row.Name == "twisted", row.Allocs == nil)
	}
	want := map[string]int{"ours": 10, "ours-typed": 8, "json": 10, "json-typed": 10, "gob": 10, "msgpack": 10, "msgpack-typed": 10}
	if _, err := os.Stat(interpreter); err == nil {
		want["twisted"] = 10
	}
	assert.Equal(t, want, found)
}
