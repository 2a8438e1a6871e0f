package main

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/perspectivebroker/pb/bench/internal/report"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// process is set in the environment of a test binary that is to be one of the program's processes.
const process = "PB_COMPARE_PROCESS"

func TestMain(m *testing.M) {
	if os.Getenv(process) != "" {
		main()
	}
	_ = os.Setenv(process, "1")
	// Or each of them would wait for a second at its end under the race detector.
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	os.Exit(m.Run())
}

// text is what was written by several at once.
type text struct {
	mu sync.Mutex
	b  strings.Builder
	// written is called with everything that is written, if it is there.
	written func(string)
}

// Write implements io.Writer.
func (w *text) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.written != nil {
		w.written(string(p))
	}
	return w.b.Write(p)
}

func (w *text) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}

// started runs the program.
func started(ctx context.Context, in string, args ...string) (status int, out, log string) {
	var o, l text
	status = run(ctx, args, strings.NewReader(in), &o, &l)
	return status, o.String(), l.String()
}

// The program as it is used: a short run of two systems, whose JSON goes to a pipe.
func TestASmallComparison(t *testing.T) {
	profiles := t.TempDir()
	status, out, log := started(t.Context(), "", "-quick", "-rounds", "1", "-only", "ours, rawtcp", "-workloads", "serial,bulk",
		"-json", "-", "-profile", profiles)
	require.Zero(t, status, log)
	var r report.Report
	require.NoError(t, json.Unmarshal([]byte(out), &r), "nothing but JSON goes there")
	assert.Equal(t, "quick", r.Mode)
	assert.Contains(t, r.Host.Versions, "protoactor")
	var found []string
	for _, row := range r.Rows {
		found = append(found, row.Workload+" "+row.Name)
		assert.Len(t, row.Rates, 1)
		assert.Positive(t, row.Rate)
		assert.Positive(t, row.P50)
		assert.GreaterOrEqual(t, row.P99, row.P50)
		assert.Positive(t, row.CPU)
		assert.Equal(t, row.Workload == "bulk", row.MBs > 0)
	}
	assert.Equal(t, []string{"serial ours", "serial rawtcp", "bulk ours", "bulk rawtcp"}, found)
	assert.Contains(t, log, "serial, round 1 of 1")
	assert.Contains(t, log, "speedup of ours (p50)", "the tables are shown all the same")
	assert.Contains(t, log, "bulk calls/s, ours vs rawtcp", "and what became of the targets")
	for _, name := range []string{"ours-server", "ours-client", "rawtcp-server", "rawtcp-client"} {
		info, err := os.Stat(profiles + "/" + name + ".pprof")
		require.NoError(t, err)
		assert.Positive(t, info.Size())
	}
}

func TestWrongArgumentsAreRefusedAtOnce(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, c := range []struct {
		status int
		want   string
		args   string
	}{
		{2, "flag provided but not defined: -fast", "-fast"},
		{2, `compare: there is nothing to be done with "serial"`, "-quick serial"},
		{2, "compare: -memory, -growth and -backpressure are runs of their own: give one of them", "-memory -growth"},
		{2, "compare: -1 rounds cannot be measured", "-rounds -1"},
		{2, `compare: there is no workload "seriel"`, "-workloads seriel,codec"},
		{1, `compare: there is no system "corba"`, "-only ours,corba"},
		{1, `compare: there is no system "corba"`, "-with corba"},
		{1, `compare: there is no system "corba"`, "-backpressure -only corba"},
		{1, `compare: there is no system "corba"`, "-role server -system corba"},
		{1, `compare: there is no role "waiter"`, "-role waiter -system ours"},
		{1, "no such file or directory", "-role server -system ours -profile missing"},
		{0, "for the program's own use", "-help"},
	} {
		status, out, log := started(t.Context(), "", strings.Fields(c.args)...)
		assert.Equal(t, c.status, status, c.args)
		assert.Empty(t, out, c.args)
		assert.Contains(t, log, c.want)
		assert.NotContains(t, log, "round 1", "nothing is measured with %s", c.args)
	}
	assert.NoDirExists(t, "results")
}

// Flags choose the pace and the amounts.
func TestScale(t *testing.T) {
	for args, want := range map[string]scale{
		"":                 {pace: fullPace, weights: fullWeights},
		"-memory":          {pace: fullPace, weights: fullWeights},
		"-quick":           {pace: quickPace, weights: quickWeights},
		"-quick -rounds 2": {pace: pace{rounds: 2, warm: quickPace.warm, round: quickPace.round, codec: quickPace.codec}, weights: quickWeights},
	} {
		o, err := parse(strings.Fields(args), t.Output())
		require.NoError(t, err)
		got := scaleOf(o)
		assert.Equal(t, want.pace, got.pace)
		assert.Equal(t, want.weights, got.weights)
	}
}

// The two ends of a system, as the program starts them, each in this process.
func TestTheProgramIsAServerAndAClient(t *testing.T) {
	status, out, log := started(t.Context(), `{"op": "usage"}`, "-role", "server", "-system", "netrpc")
	require.Zero(t, status, log)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	require.Len(t, lines, 2)
	var ready struct{ Addr string }
	require.NoError(t, json.Unmarshal([]byte(lines[0]), &ready))
	assert.Contains(t, lines[1], "cpu_us")
	status, out, log = started(t.Context(), `{"op": "open", "conns": 1, "callers": 1} {"op": "run", "millis": 1}`,
		"-role", "client", "-system", "netrpc", "-addr", ready.Addr)
	require.Zero(t, status, log)
	assert.Contains(t, out, `"calls":`)
	status, _, log = started(t.Context(), "dance", "-role", "client", "-system", "netrpc")
	assert.Equal(t, 1, status)
	assert.Contains(t, log, "compare: invalid character")
}
