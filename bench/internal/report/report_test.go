package report

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func sample() *Report {
	none := 0.0
	return &Report{Mode: "quick", Host: Host{Cores: 2, Go: "go1"}, Rows: []Row{
		{Name: "ours", Workload: "serial", Rate: 1000, P50: 30},
		{Name: "rawtcp", Workload: "serial", Rate: 1500, P50: 20},
		{Name: "netrpc", Workload: "serial", Rate: 900, P50: 33},
		{Name: "ours", Workload: "codec-encode-small", NsPerOp: 10, Allocs: &none},
		{Name: "ours", Workload: "fanout", Note: "not today"},
	}}
}

func TestVerdicts(t *testing.T) {
	got := map[string]bool{}
	for _, v := range sample().Verdicts() {
		got[v.What] = v.Met
	}
	assert.Equal(t, map[string]bool{
		"serial p50, ours to rawtcp":      true,
		"serial p50, ours to netrpc":      false,
		"codec-encode-small, allocations": true,
	}, got)
}

func TestTables(t *testing.T) {
	var b bytes.Buffer
	sample().WriteTables(&b)
	assert.Contains(t, b.String(), "0.67 x", "raw TCP is ahead")
	assert.Contains(t, b.String(), "ours: not today")
	assert.Contains(t, b.String(), "MISSED")
}

func TestReportsAreReadAsTheyWereWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.json")
	f, err := os.Create(path)
	require.NoError(t, err)
	require.NoError(t, sample().WriteJSON(f))
	require.NoError(t, f.Close())
	got, err := Read(path)
	require.NoError(t, err)
	assert.Equal(t, sample(), got)
}

func TestMedian(t *testing.T) {
	assert.Zero(t, Median(nil))
	assert.InDelta(t, 2, Median([]float64{3, 1, 2}), 0)
	assert.InDelta(t, 1.5, Median([]float64{2, 1}), 0)
}
