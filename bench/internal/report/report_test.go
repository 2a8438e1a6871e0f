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
		{Name: "rawtcp-polled", Workload: "serial", Rate: 1500, P50: 24},
		{Name: "ours-unpolled", Workload: "serial", Rate: 900, P50: 50},
		{Name: "netrpc", Workload: "serial", Rate: 900, P50: 40},
		{Name: "ours", Workload: "codec-encode-small", NsPerOp: 10, Allocs: &none},
		{Name: "ours", Workload: "fanout", Failed: "too many connections"},
	}}
}

func TestVerdicts(t *testing.T) {
	got := map[string]bool{}
	for _, v := range sample().Verdicts() {
		got[v.Name] = v.Met
	}
	assert.Equal(t, map[string]bool{
		"serial p50, ours vs rawtcp-polled":   true,
		"serial p50, ours-unpolled vs netrpc": false,
		"codec-encode-small, allocations":     true,
	}, got)
}

// Each target is tested on both sides of its bound.
func TestTargetBounds(t *testing.T) {
	none, one := 0.0, 1.0
	for _, c := range []struct {
		name      string
		rows      []Row
		got, want string
		met       bool
	}{
		{
			"pipelined calls/s, ours vs netrpc",
			[]Row{
				{Name: "ours", Workload: "pipelined", Rate: 700},
				{Name: "netrpc", Workload: "pipelined", Rate: 100},
			}, "7.00 x", "7.00 x", true,
		},
		{
			"pipelined calls/s, ours vs netrpc",
			[]Row{
				{Name: "ours", Workload: "pipelined", Rate: 699},
				{Name: "netrpc", Workload: "pipelined", Rate: 100},
			}, "6.99 x", "7.00 x", false,
		},
		{
			"codec-encode-ints ns/op, ours-typed vs gob",
			[]Row{
				{Name: "ours-typed", Workload: "codec-encode-ints", NsPerOp: 100},
				{Name: "gob", Workload: "codec-encode-ints", NsPerOp: 150},
			},
			"1.50 x", "1.30 x", true,
		},
		{
			"bulk calls/s, ours-lent vs rawtcp",
			[]Row{
				{Name: "ours-lent", Workload: "bulk", Rate: 64},
				{Name: "rawtcp", Workload: "bulk", Rate: 100},
			}, "0.64 x", "0.65 x", false,
		},
		{
			"fanout calls/s, ours vs rawtcp",
			[]Row{{Name: "ours", Workload: "fanout", Rate: 70}, {Name: "rawtcp", Workload: "fanout", Rate: 100}},
			"0.70 x, 70", "0.70 x or 95000", true,
		},
		{
			"fanout calls/s, ours vs rawtcp",
			[]Row{{Name: "ours", Workload: "fanout", Rate: 69}, {Name: "rawtcp", Workload: "fanout", Rate: 100}},
			"0.69 x, 69", "0.70 x or 95000", false,
		},
		{
			"fanout calls/s, ours vs rawtcp",
			[]Row{{Name: "ours", Workload: "fanout", Rate: 95_000}, {Name: "rawtcp", Workload: "fanout", Rate: 190_000}},
			"0.50 x, 95000", "0.70 x or 95000", true,
		},
		{
			"serial p50, ours-unpolled vs netrpc", // Ours has no figure.
			[]Row{
				{Name: "ours-unpolled", Workload: "serial", Failed: "timeout"},
				{Name: "netrpc", Workload: "serial", P50: 10},
			}, "0.00 x", "1.00 x", false,
		},
		{"codec-encode-dict, allocations", []Row{
			{Name: "ours", Workload: "codec-encode-dict", Allocs: &none},
		}, "0", "at most 0", true},
		{"codec-encode-dict, allocations", []Row{
			{Name: "ours", Workload: "codec-encode-dict", Allocs: &one},
		}, "1", "at most 0", false},
		{"memory-exported-object, bytes", []Row{
			{Name: "ours", Workload: "memory-exported-object", Bytes: 640},
		}, "640", "at most 640", true},
		{"memory-exported-object, bytes", []Row{
			{Name: "ours", Workload: "memory-exported-object", Bytes: 641},
		}, "641", "at most 640", false},
		{
			"backpressure-slow-object, p50 vs alone",
			[]Row{
				{Name: "ours", Workload: "backpressure-slow-object", P50VsAlone: 2.5},
				{Name: "alone", Workload: "backpressure-slow-object"},
			},
			"2.5", "at most 2", false,
		},
	} {
		r := &Report{Rows: c.rows}
		assert.Equal(t, []Verdict{{Name: c.name, Got: c.got, Want: c.want, Met: c.met}}, r.Verdicts())
	}
}

// The targets are for an idle machine without delay; with two burners there are others.
func TestTargetsUnderConditions(t *testing.T) {
	rows := []Row{
		{Name: "ours", Workload: "serial", P50: 17},
		{Name: "rawtcp", Workload: "serial", P50: 10},
		{Name: "grpc", Workload: "serial", P50: 60},
	}
	busy := &Report{Rows: rows, Burners: 2}
	assert.Equal(t, []Verdict{
		{Name: "serial p50, ours vs rawtcp", Got: "0.59 x", Want: "0.59 x", Met: true},
	}, busy.Verdicts())
	assert.Empty(t, (&Report{Rows: rows, Burners: 3}).Verdicts())
	assert.Empty(t, (&Report{Rows: rows, Delay: 1}).Verdicts())
}

func TestUnmeasuredTargets(t *testing.T) {
	r := &Report{Rows: []Row{
		{Name: "ours", Workload: "serial", P50: 10}, // Nothing to compare it with.
		{Name: "netrpc", Workload: "pipelined", Rate: 10},
		{Name: "ours", Workload: "memory-idle-connection", Failed: "timeout"},
		{Name: "ours-lent", Workload: "bulk", Rate: 10},
		{Name: "grpc", Workload: "bulk", Failed: "timeout"}, // Nothing to compare ours with.
		{Name: "ours", Workload: "codec-encode-small"},
		{Name: "ours", Workload: "backpressure-slow-object"},
	}}
	assert.Empty(t, r.Verdicts())
	var b bytes.Buffer
	r.WriteTables(&b)
	assert.NotContains(t, b.String(), "targets")
}

// tables returns the non-empty lines of WriteTables, with columns separated by single spaces.
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
		"system calls/s p50 µs speedup of ours (p50)",
		"ours 1000 30.0 1.00 x",
		"rawtcp-polled 1500 24.0 0.80 x",
		"ours-unpolled 900 50.0 1.67 x",
		"netrpc 900 40.0 1.33 x",
		"codec-encode-small",
		"system ns/op allocs",
		"ours 10 0",
		"fanout",
		"ours failed: too many connections",
		"targets",
		"serial p50, ours vs rawtcp-polled 0.80 x target 0.71 x met",
		"serial p50, ours-unpolled vs netrpc 0.80 x target 1.00 x MISSED",
		"codec-encode-small, allocations 0 target at most 0 met",
	}, tables(sample()))
}

// The compared metric depends on the workload. Nothing is compared if the first system is not ours or the sizes differ.
func TestComparedMetric(t *testing.T) {
	r := &Report{Rows: []Row{
		{Name: "ours", Workload: "pipelined", Rate: 100, P50: 1},
		{Name: "grpc", Workload: "pipelined", Rate: 50, P50: 1},
		{Name: "ours", Workload: "codec-decode-dict", NsPerOp: 100},
		{Name: "json", Workload: "codec-decode-dict", NsPerOp: 350},
		{Name: "ours", Workload: "backpressure-reads-slowly", P50: 30, P50VsAlone: 1.5},
		{Name: "alone", Workload: "backpressure-reads-slowly", P50: 20},
		{Name: "ours", Workload: "growth-payload", N: 16, Rate: 9},
		{Name: "ours", Workload: "growth-payload", N: 256, Rate: 8},
		{Name: "ours", Workload: "memory-idle-connection", Bytes: 9000},
		{Name: "grpc", Workload: "memory-idle-connection", Bytes: 90000},
		{Name: "netrpc", Workload: "multi", Rate: 5}, {Name: "grpc", Workload: "multi", Rate: 6},
	}}
	assert.Equal(t, []string{
		"· 0 × · · load",
		"pipelined", "system calls/s p50 µs speedup of ours (calls/s)", "ours 100 1.0 1.00 x", "grpc 50 1.0 2.00 x",
		"codec-decode-dict", "system ns/op speedup of ours (ns/op)", "ours 100 1.00 x", "json 350 3.50 x",
		"backpressure-reads-slowly", "system p50 µs vs alone speedup of ours (p50)",
		"ours 30.0 1.50 1.00 x", "alone 20.0 0.67 x",
		"growth-payload", "system n calls/s", "ours 16 9", "ours 256 8",
		"memory-idle-connection", "system bytes", "ours 9000", "grpc 90000",
		"multi", "system calls/s", "netrpc 5", "grpc 6",
	}, slices.DeleteFunc(tables(r), func(line string) bool {
		return line == "targets" || strings.Contains(line, " target ")
	}))
}

func TestReadWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.json")
	f, err := os.Create(path)
	require.NoError(t, err)
	require.NoError(t, sample().WriteJSON(f))
	require.NoError(t, f.Close())
	got, err := Read(path)
	require.NoError(t, err)
	assert.Equal(t, sample(), got)
}

func TestReadInvalid(t *testing.T) {
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
