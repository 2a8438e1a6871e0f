package main

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/perspectivebroker/pb/bench/internal/report"
	"github.com/perspectivebroker/pb/internal/stock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// childEnv is set in the environment of a test binary that runs the program.
const childEnv = "PB_COMPARE_PROCESS"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		main()
	}
	_ = os.Setenv(childEnv, "1")
	// Without this each child would wait for a second at exit under the race detector.
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	os.Exit(m.Run())
}

// text is a buffer for concurrent writes.
type text struct {
	mu sync.Mutex
	b  strings.Builder
	// onWrite, if set, is called with everything that is written.
	onWrite func(string)
}

// Write implements io.Writer.
func (w *text) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.onWrite != nil {
		w.onWrite(string(p))
	}
	return w.b.Write(p)
}

func (w *text) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}

// runProgram runs the program with in as its standard input.
func runProgram(ctx context.Context, in string, args ...string) (status int, out, log string) {
	var o, l text
	status = run(ctx, args, strings.NewReader(in), &o, &l)
	return status, o.String(), l.String()
}

// A short run of two systems that writes its JSON to standard output.
func TestRun(t *testing.T) {
	profiles := t.TempDir()
	status, out, log := runProgram(t.Context(), "", "-quick", "-rounds", "1", "-only", "ours, ours-lent, rawtcp",
		"-workloads", "serial,bulk", "-json", "-", "-profile", profiles)
	require.Zero(t, status, log)
	var r report.Report
	require.NoError(t, json.Unmarshal([]byte(out), &r), "standard output contains only JSON")
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
	assert.Equal(t, []string{"serial ours", "serial rawtcp", "bulk ours", "bulk ours-lent", "bulk rawtcp"}, found)
	assert.Contains(t, log, "serial, round 1 of 1")
	assert.Contains(t, log, "speedup of ours (p50)", "the log contains the tables")
	assert.Contains(t, log, "bulk calls/s, ours-lent vs rawtcp", "the log contains the targets")
	for _, name := range []string{"ours-server", "ours-client", "rawtcp-server", "rawtcp-client"} {
		info, err := os.Stat(profiles + "/" + name + ".pprof")
		require.NoError(t, err)
		assert.Positive(t, info.Size())
	}
}

// Runs beside a burner and over a link with delay.
func TestConditions(t *testing.T) {
	status, out, log := runProgram(t.Context(), "", "-quick", "-rounds", "1", "-only", "ours,rawtcp-polled",
		"-workloads", "serial8,structs", "-json", "-", "-burners", "1", "-delay", "2ms")
	require.Zero(t, status, log)
	var r report.Report
	require.NoError(t, json.Unmarshal([]byte(out), &r))
	assert.Equal(t, 1, r.Burners)
	assert.EqualValues(t, 2000, r.Delay)
	require.Len(t, r.Rows, 3, "raw TCP has no structs")
	for _, row := range r.Rows {
		assert.GreaterOrEqual(t, row.P50, 4000.0)
	}
	assert.Contains(t, log, "burners that kept the processors busy: 1")
	assert.Contains(t, log, "over a link that delays each byte by 2000 µs")
	assert.NotContains(t, log, "targets", "the targets are for an idle machine without delay")
}

// Every pair of a front and a back has its rows, except for stock ones where Twisted is not installed.
func TestWeb(t *testing.T) {
	stock.Require(t)
	c, _, log := small(t)
	c.scale.schedule.rounds = 1
	c.options.workloads = "web"
	require.NoError(t, c.run(t.Context()), log)
	r := readReport(t, "full")
	assert.Equal(t, []string{
		"web ours", "web ours-front", "web ours-back", "web twisted", "web twisted-alone", "web nethttp-alone",
		"web-stream ours", "web-stream ours-front", "web-stream ours-back", "web-stream twisted",
	}, rowsOf(r))
	for _, row := range r.Rows {
		assert.Positive(t, row.Rate, row.Name)
		assert.Positive(t, row.P50, row.Name)
		assert.Equal(t, row.Workload == "web-stream", row.MBs > 0)
	}
	var verdicts []string
	for _, v := range r.Verdicts() {
		verdicts = append(verdicts, v.Name)
	}
	assert.Equal(t, []string{"web calls/s, ours-back vs twisted", "web, requests/s"}, verdicts)
}

func TestInvalidArguments(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, c := range []struct {
		status int
		want   string
		args   string
	}{
		{2, "flag provided but not defined: -fast", "-fast"},
		{2, `compare: unexpected argument "serial"`, "-quick serial"},
		{2, "compare: -memory, -growth, -backpressure and -cluster exclude each other", "-memory -growth"},
		{2, "compare: -memory, -growth, -backpressure and -cluster exclude each other", "-cluster -growth"},
		{2, "compare: invalid delay 1ms", "-delay 1ms -cluster"},
		{2, `compare: unknown workload "serial"`, "-cluster -workloads serial"},
		{1, "relayed-mtls has no server of its own", "-role server -system relayed-mtls"},
		{1, "no such file or directory", "-role cluster-owner -addr missing -nodes b"},
		{2, "compare: invalid number of rounds -1", "-rounds -1"},
		{2, "compare: invalid number of burners -1", "-burners -1"},
		{2, "compare: invalid delay -1ms", "-delay -1ms"},
		{2, "compare: invalid delay 1ms", "-delay 1ms -backpressure"},
		{2, `compare: unknown workload "seriel"`, "-workloads seriel,codec"},
		{2, "compare: -only and -delay do not apply to the workload web", "-workloads web -only ours"},
		{2, "compare: -only and -delay do not apply to the workload web", "-workloads web -delay 1ms"},
		{1, `compare: unknown system "corba"`, "-only ours,corba"},
		{1, `compare: unknown system "corba"`, "-with corba"},
		{1, `compare: unknown system "corba"`, "-backpressure -only corba"},
		{1, `compare: unknown system "corba"`, "-role server -system corba"},
		{1, `compare: unknown role "waiter"`, "-role waiter -system ours"},
		{1, "no such file or directory", "-role server -system ours -profile missing"},
		{0, "internal: run as a server, a client or a burner", "-help"},
	} {
		status, out, log := runProgram(t.Context(), "", strings.Fields(c.args)...)
		assert.Equal(t, c.status, status, c.args)
		assert.Empty(t, out, c.args)
		assert.Contains(t, log, c.want)
		assert.NotContains(t, log, "round 1", "nothing is measured with %s", c.args)
	}
	assert.NoDirExists(t, "results")
}

// The flags determine the schedule and the counts.
func TestScale(t *testing.T) {
	for args, want := range map[string]scale{
		"":        {schedule: fullSchedule, memoryCounts: fullCounts},
		"-memory": {schedule: fullSchedule, memoryCounts: fullCounts},
		"-quick":  {schedule: quickSchedule, memoryCounts: quickCounts},
		"-quick -rounds 2": {
			schedule: schedule{
				rounds: 2, warmUp: quickSchedule.warmUp, round: quickSchedule.round, codec: quickSchedule.codec,
			},
			memoryCounts: quickCounts,
		},
	} {
		o, err := parse(strings.Fields(args), t.Output())
		require.NoError(t, err)
		got := scaleOf(o)
		assert.Equal(t, want.schedule, got.schedule)
		assert.Equal(t, want.memoryCounts, got.memoryCounts)
	}
}

// Runs a server and a client with the flags that the program passes to its children.
func TestRunChild(t *testing.T) {
	status, out, log := runProgram(t.Context(), `{"op": "usage"}`, "-role", "server", "-system", "netrpc")
	require.Zero(t, status, log)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	require.Len(t, lines, 2)
	var ready struct{ Addr string }
	require.NoError(t, json.Unmarshal([]byte(lines[0]), &ready))
	assert.Contains(t, lines[1], "cpu_us")
	status, out, log = runProgram(t.Context(), `{"op": "open", "conns": 1, "callers": 1} {"op": "run", "millis": 1}`,
		"-role", "client", "-system", "netrpc", "-addr", ready.Addr)
	require.Zero(t, status, log)
	assert.Contains(t, out, `"calls":`)
	status, _, log = runProgram(t.Context(), "dance", "-role", "client", "-system", "netrpc")
	assert.Equal(t, 1, status)
	assert.Contains(t, log, "compare: invalid character")
}
