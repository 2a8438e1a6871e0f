package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/perspectivebroker/pb/bench/internal/report"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// measured leaves a report, in which ours made so many calls a second.
func measured(t *testing.T, path string, rate float64) {
	t.Helper()
	f, err := os.Create(path)
	require.NoError(t, err)
	r := report.Report{Rows: []report.Row{{Name: "ours", Workload: "pipelined", Rate: rate}, {Name: "grpc", Workload: "pipelined", Rate: 500}}}
	require.NoError(t, r.WriteJSON(f))
	require.NoError(t, f.Close())
}

// drawn runs the program in good hope, and returns what is in the file.
func drawn(t *testing.T, file string, args ...string) string {
	t.Helper()
	var log strings.Builder
	require.Zero(t, run(args, &log), log.String())
	assert.Empty(t, log.String())
	svg, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(svg)
}

func TestTheLatestFullRunIsDrawn(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.Mkdir("results", 0o777))
	measured(t, "results/20261122T031152Z-quick.json", 1001)
	measured(t, "results/20261121T031152Z-quick.json", 1002)
	assert.Contains(t, drawn(t, "results/chart.svg"), "1,001 /s", "a quick one where there is no full one")
	measured(t, "results/20261120T044757Z-full.json", 1003)
	measured(t, "results/20261120T034207Z-full.json", 1004)
	measured(t, "results/20261123T034207Z-memory.json", 1005)
	assert.Contains(t, drawn(t, "results/chart.svg"), "1,003 /s")
	assert.Contains(t, drawn(t, "mine.svg", "-out", "mine.svg", "results/20261120T034207Z-full.json"), "1,004 /s")
}

func TestChartSaysWhatIsWrong(t *testing.T) {
	t.Chdir(t.TempDir())
	fails := func(status int, want string, args ...string) {
		t.Helper()
		var log strings.Builder
		assert.Equal(t, status, run(args, &log))
		assert.Contains(t, log.String(), want)
	}
	fails(1, "chart: there is nothing in results/ yet: run ./cmd/compare first\n")
	fails(1, "missing.json", "missing.json")
	fails(1, "give one file", "one.json", "another.json")
	fails(2, "-colour", "-colour", "blue")
	fails(0, "-out file", "-help")
	require.NoError(t, os.WriteFile("nonsense.json", []byte("hello"), 0o666))
	fails(1, "chart: nonsense.json: invalid", "-out", "x.svg", "nonsense.json")
	require.NoError(t, os.WriteFile("memory.json", []byte(`{"rows": [{"name": "ours", "workload": "memory-idle-connection", "bytes": 9}]}`), 0o666))
	fails(1, "memory.json has nothing to draw", "-out", "x.svg", "memory.json")
	assert.NoFileExists(t, "x.svg", "a chart that was there before is left alone")
	measured(t, "full.json", 1)
	fails(1, filepath.Join("missing", "x.svg"), "-out", "missing/x.svg", "full.json")
}
