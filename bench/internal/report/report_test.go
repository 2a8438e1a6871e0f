package report

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

// What a target wants of a ratio or of a number, on either side of it.
func TestTargetsAreMetUpToTheirBounds(t *testing.T) {
	none, one := 0.0, 1.0
	for _, c := range []struct {
		what            string
		rows            []Row
		reached, wanted string
		met             bool
	}{
		{
			"pipelined calls/s, ours to netrpc",
			[]Row{{Name: "ours", Workload: "pipelined", Rate: 600}, {Name: "netrpc", Workload: "pipelined", Rate: 100}}, "6.00 x", "6.00 x", true,
		},
		{
			"pipelined calls/s, ours to netrpc",
			[]Row{{Name: "ours", Workload: "pipelined", Rate: 599}, {Name: "netrpc", Workload: "pipelined", Rate: 100}}, "5.99 x", "6.00 x", false,
		},
		{
			"codec-encode-ints ns/op, ours to gob",
			[]Row{{Name: "ours", Workload: "codec-encode-ints", NsPerOp: 100}, {Name: "gob", Workload: "codec-encode-ints", NsPerOp: 150}},
			"1.50 x", "1.00 x", true,
		},
		{
			"serial calls/s, ours-reflected to ours",
			[]Row{{Name: "ours-reflected", Workload: "serial", Rate: 74}, {Name: "ours", Workload: "serial", Rate: 100}}, "0.74 x", "0.75 x", false,
		},
		{
			"serial p50, ours to grpc", // There is no number of one of them.
			[]Row{{Name: "ours", Workload: "serial", Note: "fell ill"}, {Name: "grpc", Workload: "serial", P50: 10}}, "0.00 x", "3.00 x", false,
		},
		{"codec-encode-dict, allocations", []Row{{Name: "ours", Workload: "codec-encode-dict", Allocs: &none}}, "0", "at most 0", true},
		{"codec-encode-dict, allocations", []Row{{Name: "ours", Workload: "codec-encode-dict", Allocs: &one}}, "1", "at most 0", false},
		{"memory-exported-object, bytes", []Row{{Name: "ours", Workload: "memory-exported-object", Bytes: 640}}, "640", "at most 640", true},
		{"memory-exported-object, bytes", []Row{{Name: "ours", Workload: "memory-exported-object", Bytes: 641}}, "641", "at most 640", false},
		{
			"backpressure-slow-object, p50 to alone",
			[]Row{{Name: "ours", Workload: "backpressure-slow-object", ToAlone: 2.5}, {Name: "alone", Workload: "backpressure-slow-object"}},
			"2.5", "at most 2", false,
		},
	} {
		r := &Report{Rows: c.rows}
		assert.Equal(t, []Verdict{{What: c.what, Reached: c.reached, Wanted: c.wanted, Met: c.met}}, r.Verdicts())
	}
}

func TestNothingIsSaidOfTargetsThatWereNotMeasured(t *testing.T) {
	r := &Report{Rows: []Row{
		{Name: "ours", Workload: "serial", P50: 10}, // Nobody is beside it.
		{Name: "netrpc", Workload: "pipelined", Rate: 10},
		{Name: "ours", Workload: "memory-idle-connection", Note: "not today"},
		{Name: "ours", Workload: "codec-encode-small"},
		{Name: "ours", Workload: "backpressure-slow-object"},
	}}
	assert.Empty(t, r.Verdicts())
	var b bytes.Buffer
	r.WriteTables(&b)
	assert.NotContains(t, b.String(), "targets")
}

// tables are the lines of the report, their columns in single spaces.
func tables(r *Report) []string {
	var b bytes.Buffer
	r.WriteTables(&b)
	var lines []string
	for line := range strings.Lines(b.String()) {
		if fields := strings.Fields(line); len(fields) > 0 {
			lines = append(lines, strings.Join(fields, " "))
		}
	}
	return lines
}

func TestTables(t *testing.T) {
	assert.Equal(t, []string{
		"· 2 × · go1 · load",
		"serial",
		"system calls/s p50 µs ours is better by (p50)",
		"ours 1000 30.0 1.00 x",
		"rawtcp 1500 20.0 0.67 x",
		"netrpc 900 33.0 1.10 x",
		"codec-encode-small",
		"system ns/op allocs",
		"ours 10 0",
		"fanout",
		"ours: not today",
		"targets",
		"serial p50, ours to rawtcp 0.67 x wanted 0.67 x met",
		"serial p50, ours to netrpc 1.10 x wanted 1.30 x MISSED",
		"codec-encode-small, allocations 0 wanted at most 0 met",
	}, tables(sample()))
}

// Systems are compared by what matters under a workload, where the first of them is ours and they did the same.
func TestWhatIsComparedInTables(t *testing.T) {
	r := &Report{Rows: []Row{
		{Name: "ours", Workload: "pipelined", Rate: 100, P50: 1}, {Name: "grpc", Workload: "pipelined", Rate: 50, P50: 1},
		{Name: "ours", Workload: "codec-decode-dict", NsPerOp: 100}, {Name: "json", Workload: "codec-decode-dict", NsPerOp: 350},
		{Name: "ours", Workload: "backpressure-reads-slowly", P50: 30, ToAlone: 1.5}, {Name: "alone", Workload: "backpressure-reads-slowly", P50: 20},
		{Name: "ours", Workload: "growth-payload", N: 16, Rate: 9}, {Name: "ours", Workload: "growth-payload", N: 256, Rate: 8},
		{Name: "ours", Workload: "memory-idle-connection", Bytes: 9000}, {Name: "grpc", Workload: "memory-idle-connection", Bytes: 90000},
		{Name: "netrpc", Workload: "multi", Rate: 5}, {Name: "grpc", Workload: "multi", Rate: 6},
	}}
	assert.Equal(t, []string{
		"· 0 × · · load",
		"pipelined", "system calls/s p50 µs ours is better by (calls/s)", "ours 100 1.0 1.00 x", "grpc 50 1.0 2.00 x",
		"codec-decode-dict", "system ns/op ours is better by (ns/op)", "ours 100 1.00 x", "json 350 3.50 x",
		"backpressure-reads-slowly", "system p50 µs to alone ours is better by (p50)", "ours 30.0 1.50 1.00 x", "alone 20.0 0.67 x",
		"growth-payload", "system n calls/s", "ours 16 9", "ours 256 8",
		"memory-idle-connection", "system bytes", "ours 9000", "grpc 90000",
		"multi", "system calls/s", "netrpc 5", "grpc 6",
	}, slices.DeleteFunc(tables(r), func(line string) bool {
		return line == "targets" || strings.Contains(line, "wanted")
	}))
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

func TestWhatIsNoReportIsNotRead(t *testing.T) {
	dir := t.TempDir()
	_, err := Read(filepath.Join(dir, "missing.json"))
	require.ErrorIs(t, err, os.ErrNotExist)
	path := filepath.Join(dir, "nonsense.json")
	for _, text := range []string{"", "hello", "[]", `{"rows": [{"name": 1}]}`} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o666))
		_, err = Read(path)
		assert.ErrorContains(t, err, path, text)
	}
}

func TestMedian(t *testing.T) {
	assert.Zero(t, Median(nil))
	assert.InDelta(t, 2, Median([]float64{3, 1, 2}), 0)
	assert.InDelta(t, 1.5, Median([]float64{2, 1}), 0)
}
