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

// writeReport writes a report in which ours has the given rate.
func writeReport(t *testing.T, path string, rate float64) {
	t.Helper()
	f, err := os.Create(path)
	require.NoError(t, err)
	r := report.Report{Rows: []report.Row{
		{Name: "ours", Workload: "pipelined", Rate: rate}, {Name: "grpc", Workload: "pipelined", Rate: 500},
	}}
	require.NoError(t, r.WriteJSON(f))
	require.NoError(t, f.Close())
}

// drawn runs the program successfully and returns the contents of file.
func drawn(t *testing.T, file string, args ...string) string {
	t.Helper()
	var log strings.Builder
	require.Zero(t, run(args, &log), log.String())
	assert.Empty(t, log.String())
	svg, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(svg)
}

func TestLatestRun(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.Mkdir("results", 0o777))
	writeReport(t, "results/20261122T031152Z-quick.json", 1001)
	writeReport(t, "results/20261121T031152Z-quick.json", 1002)
	assert.Contains(t, drawn(t, "results/chart.svg"), "1,001 /s", "a quick run if there is no full run")
	writeReport(t, "results/20261120T044757Z-full.json", 1003)
	writeReport(t, "results/20261120T034207Z-full.json", 1004)
	writeReport(t, "results/20261123T034207Z-memory.json", 1005)
	assert.Contains(t, drawn(t, "results/chart.svg"), "1,003 /s")
	assert.Contains(t, drawn(t, "mine.svg", "-out", "mine.svg", "results/20261120T034207Z-full.json"), "1,004 /s")
}

func TestErrors(t *testing.T) {
	t.Chdir(t.TempDir())
	fails := func(status int, want string, args ...string) {
		t.Helper()
		var log strings.Builder
		assert.Equal(t, status, run(args, &log))
		assert.Contains(t, log.String(), want)
	}
	fails(1, "chart: no results in results/: run ./cmd/compare first\n")
	fails(1, "missing.json", "missing.json")
	fails(1, "want at most one results file", "one.json", "another.json")
	fails(2, "-colour", "-colour", "blue")
	fails(0, "-out file", "-help")
	require.NoError(t, os.WriteFile("nonsense.json", []byte("hello"), 0o666))
	fails(1, "chart: nonsense.json: invalid", "-out", "x.svg", "nonsense.json")
	memory := `{"rows": [{"name": "ours", "workload": "memory-idle-connection", "bytes": 9}]}`
	require.NoError(t, os.WriteFile("memory.json", []byte(memory), 0o666))
	fails(1, "memory.json has nothing to draw", "-out", "x.svg", "memory.json")
	assert.NoFileExists(t, "x.svg", "no file is written after an error")
	writeReport(t, "full.json", 1)
	fails(1, filepath.Join("missing", "x.svg"), "-out", "missing/x.svg", "full.json")
}
