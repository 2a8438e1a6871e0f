package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/bench/internal/report"
	"github.com/perspectivebroker/pb/bench/internal/systems"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// small returns a comparison with short rounds, and its output. available are names of systems, or systems.
func small(t *testing.T, available ...any) (c comparison, out, log *text) {
	t.Helper()
	t.Chdir(t.TempDir())
	out, log = &text{}, &text{}
	c = comparison{out: out, log: log, scale: scale{
		schedule: schedule{rounds: 2, warmUp: time.Millisecond, round: 5 * time.Millisecond, codec: time.Millisecond},
		workloads: []workload{
			{name: "pipelined", conns: 1, callers: 16},
			{name: "multi", conns: 4, callers: 8},
			{name: "serial", conns: 1, callers: 1},
			{name: "bulk", conns: 1, callers: 1, payload: 64 << 10},
			{name: "fanout", conns: 5, callers: 1, watch: true},
		},
		values:       []string{"small"},
		growthTests:  []growthTest{growthTests[0], growthTests[1], growthTests[2]},
		memoryCounts: memoryCounts{idle: 100, exported: 1000, held: 200},
		// Without slow-object, which takes up to a minute on a busy machine.
		attackers: []attacker{attackers[0], attackers[1], attackers[3]},
	}}
	for i, sizes := range [][]int{{1, 3}, {1, 20}, {16, 1024}} {
		c.scale.growthTests[i].sizes = sizes
	}
	for _, k := range available {
		if name, ok := k.(string); ok {
			s, ok := systems.ByName(name)
			require.True(t, ok, name)
			c.available = append(c.available, s)
		} else {
			c.available = append(c.available, k.(systems.System))
		}
	}
	return c, out, log
}

// shell returns a system with one caller whose server and client are a shell script.
func shell(script string) systems.System {
	return systems.System{Name: "shell", Script: script, Interpreter: "/bin/sh", OneCaller: true}
}

// readReport reads the only report in results/.
func readReport(t *testing.T, mode string) *report.Report {
	t.Helper()
	found, err := filepath.Glob("results/*-" + mode + ".json")
	require.NoError(t, err)
	require.Len(t, found, 1)
	r, err := report.Read(found[0])
	require.NoError(t, err)
	assert.Equal(t, mode, r.Mode)
	return r
}

// rowsOf returns the workload and name of each row.
func rowsOf(r *report.Report) (list []string) {
	for _, row := range r.Rows {
		list = append(list, row.Workload+" "+row.Name)
	}
	return list
}

func TestSelectedSystems(t *testing.T) {
	c := comparison{available: systems.All()}
	names := func(o options) (list []string) {
		c.options = o
		selected, err := c.selected()
		require.NoError(t, err)
		for _, s := range selected {
			list = append(list, s.Name)
		}
		return list
	}
	assert.ElementsMatch(t, []string{"ours", "netrpc"}, names(options{only: "ours, netrpc"}))
	byDefault := names(options{})
	assert.Contains(t, byDefault, "ours")
	assert.NotContains(t, byDefault, "nats")
	assert.ElementsMatch(t, append(byDefault, "nats"), names(options{with: "nats"}))
}

// Every system has a row for each workload that it supports, with a rate for each round.
func TestSpeed(t *testing.T) {
	c, out, log := small(t, "ours", "netrpc", "rawtcp")
	require.NoError(t, c.run(t.Context()), log)
	r := readReport(t, "full")
	codecs := slices.IndexFunc(r.Rows, func(row report.Row) bool { return strings.HasPrefix(row.Workload, "codec") })
	require.Positive(t, codecs, "the codecs come after all calls")
	assert.Equal(t, "codec-encode-small ours", rowsOf(r)[codecs])
	calls := report.Report{Rows: r.Rows[:codecs]}
	assert.Equal(t, []string{
		"pipelined ours", "pipelined netrpc", "multi ours", "multi netrpc", // rawtcp carries one call at a time.
		"serial ours", "serial netrpc", "serial rawtcp", "bulk ours", "bulk netrpc", "bulk rawtcp",
		"fanout ours", "fanout rawtcp", // net/rpc cannot watch.
	}, rowsOf(&calls))
	for _, row := range calls.Rows {
		assert.Len(t, row.Rates, 2)
		assert.Positive(t, row.Rate, row.Name)
		assert.Positive(t, row.P50, row.Name)
		assert.Equal(t, row.Workload == "bulk", row.MBs > 0)
	}
	assert.Contains(t, out.String(), "written to results/")
	assert.Contains(t, out.String(), " target ")
	assert.NotContains(t, log.String(), "compare:")
}

func TestSelectedWorkloads(t *testing.T) {
	c, _, log := small(t, "netrpc", "rawtcp")
	c.options = options{workloads: "multi,serial", quick: true}
	require.NoError(t, c.run(t.Context()), log)
	assert.Equal(t, []string{"multi netrpc", "serial netrpc", "serial rawtcp"}, rowsOf(readReport(t, "quick")))
}

func TestGrowth(t *testing.T) {
	c, out, log := small(t, "ours", "ours-reflected", "netrpc", "rawtcp")
	c.options.growth = true
	require.NoError(t, c.run(t.Context()), log)
	r := readReport(t, "growth")
	var found []string
	sizes := map[string][]int{}
	for _, row := range r.Rows {
		if key := row.Workload + " " + row.Name; sizes[key] == nil {
			found = append(found, key)
		}
		sizes[row.Workload+" "+row.Name] = append(sizes[row.Workload+" "+row.Name], row.N)
		assert.Positive(t, row.Rate)
		assert.Len(t, row.Rates, 2)
	}
	assert.Equal(t, []string{
		"growth-connections ours", "growth-connections netrpc", "growth-exports ours",
		"growth-payload ours", "growth-payload netrpc",
	}, found)
	assert.Equal(t, []int{1, 3}, sizes["growth-connections netrpc"])
	assert.Equal(t, []int{1, 20}, sizes["growth-exports ours"])
	assert.Contains(t, log.String(), "growth-payload 1024\n")
	assert.Contains(t, out.String(), "growth-exports")
}

// Systems selected by name are measured up to their maximum number of connections.
func TestGrowthOfSelectedSystems(t *testing.T) {
	few, ok := systems.ByName("netrpc")
	require.True(t, ok)
	few.MaxConns = 1
	c, _, log := small(t, "ours-reflected", few, "rawtcp")
	c.options = options{growth: true, only: "ours-reflected,netrpc,rawtcp"}
	c.scale.growthTests = c.scale.growthTests[:1]
	require.NoError(t, c.run(t.Context()), log)
	assert.Equal(t, []string{
		"growth-connections ours-reflected", "growth-connections netrpc", "growth-connections ours-reflected",
	}, rowsOf(readReport(t, "growth")))
}

func TestMemory(t *testing.T) {
	few, ok := systems.ByName("netrpc")
	require.True(t, ok)
	few.MaxConns = 7
	c, _, log := small(t, "ours", "ours-reflected", few, "twisted")
	c.options.memory = true
	require.NoError(t, c.run(t.Context()), log)
	r := readReport(t, "memory")
	assert.Equal(t, []string{
		"memory-idle-connection ours", "memory-idle-connection-client ours",
		"memory-ended-connection ours", "memory-ended-connection-client ours",
		"memory-idle-connection netrpc", "memory-idle-connection-client netrpc",
		"memory-ended-connection netrpc", "memory-ended-connection-client netrpc",
		"memory-exported-object ours", "memory-remote-reference ours", "memory-exported-object-called ours",
		"memory-unanswered-call-server ours", "memory-outstanding-call ours",
		"memory-cached-original ours", "memory-cached-copy ours",
	}, rowsOf(r))
	for _, row := range r.Rows {
		assert.InDelta(t, row.Bytes, row.Heap+row.Stack, 1e-6)
	}
	idle, _ := r.Find("ours", "memory-idle-connection")
	assert.Equal(t, 100, idle.N)
	assert.Positive(t, idle.Heap)
	idle, _ = r.Find("netrpc", "memory-idle-connection")
	assert.Equal(t, 7, idle.N, "no more than MaxConns")
	assert.Positive(t, idle.Goroutines)
	objects, _ := r.Find("ours", "memory-exported-object")
	assert.Equal(t, 1000, objects.N)
	assert.Positive(t, objects.Heap)
	calls, _ := r.Find("ours", "memory-outstanding-call")
	assert.Equal(t, 200, calls.N)
}

func TestMemoryWithoutOurs(t *testing.T) {
	c, _, log := small(t, "ours", "netrpc")
	c.options = options{memory: true, only: "netrpc"}
	require.NoError(t, c.run(t.Context()), log)
	want := []string{
		"memory-idle-connection netrpc", "memory-idle-connection-client netrpc",
		"memory-ended-connection netrpc", "memory-ended-connection-client netrpc",
	}
	assert.Equal(t, want, rowsOf(readReport(t, "memory")))
}

func TestSaturatingSub(t *testing.T) {
	assert.EqualValues(t, 0, saturatingSub(3, 5))
	assert.EqualValues(t, 2, saturatingSub(5, 3))
}

// Systems that do not start are logged and skipped.
func TestSystemDoesNotStart(t *testing.T) {
	missing := systems.System{Name: "corba", Script: "-", Interpreter: "/missing/interpreter"}
	c, _, log := small(t, missing, "netrpc", shell("echo cannot start >&2; exit 3"))
	c.options.workloads = "serial"
	require.NoError(t, c.run(t.Context()))
	assert.Equal(t, []string{"serial netrpc"}, rowsOf(readReport(t, "full")))
	assert.Contains(t, log.String(), "compare: skipped: starting corba server: ")
	assert.Contains(t, log.String(), "cannot start\ncompare: skipped: shell server did not start")

	c, out, _ := small(t, missing)
	c.options.workloads = "serial"
	require.EqualError(t, c.run(t.Context()), "nothing was measured")
	assert.Empty(t, out.String())
	assert.NoDirExists(t, "results")
}

// A system that fails has a row that says why, and is started anew for the next workload. The others go on.
func TestSystemFails(t *testing.T) {
	const answers = `echo '{"addr": "here"}'; read -r line && echo '{}'; `
	const openFails = `echo '{"addr": "here"}'; read -r line &&
		echo '{"error": "too many connections\\ntoo many connections"}'; cat >/dev/null`
	for script, want := range map[string]string{
		answers + "read -r line; exit 3":                                           "shell client: EOF",
		answers + `read -r line; echo '{"error": "wrong answer"}'; cat >/dev/null`: "shell client: wrong answer",
		openFails: "shell client: too many connections …",
	} {
		c, out, _ := small(t, shell(script), "netrpc")
		c.options.workloads = "serial,bulk,pipelined"
		require.NoError(t, c.run(t.Context()), "it is none of ours")
		r := readReport(t, "full")
		assert.Equal(t, []string{
			"pipelined netrpc", "serial shell", "serial netrpc", "bulk shell", "bulk netrpc",
		}, rowsOf(r))
		for _, row := range r.Rows {
			if row.Name == "shell" {
				assert.Equal(t, report.Row{Name: "shell", Workload: row.Workload, Failed: want}, row)
			} else {
				assert.Len(t, row.Rates, 2)
			}
		}
		assert.Contains(t, out.String(), "  shell failed: "+want+"\n")
	}
}

// A system that does not start again is left out of the later workloads.
func TestSystemFailsForGood(t *testing.T) {
	const once = `test -e started-$1 && exit 3; touch started-$1; echo '{"addr": "here"}'; read -r line; exit 3`
	c, _, log := small(t, shell(once), "netrpc")
	c.options.workloads = "serial,bulk"
	require.NoError(t, c.run(t.Context()))
	assert.Equal(t, []string{"serial shell", "serial netrpc", "bulk netrpc"}, rowsOf(readReport(t, "full")))
	assert.Contains(t, log.String(), "compare: skipped: shell server did not start")
}

func TestSystemFailsInOtherModes(t *testing.T) {
	const fails = `echo '{"addr": "here"}'; read -r line && echo '{"error": "too many"}'; cat >/dev/null`
	c, _, _ := small(t, shell(fails))
	c.options = options{growth: true, only: "shell"}
	require.EqualError(t, c.run(t.Context()), "nothing was measured", "it supports only one call at a time")
	c.available[0].OneCaller = false
	c.scale.growthTests = c.scale.growthTests[:1]
	require.NoError(t, c.run(t.Context()))
	assert.Equal(t, []report.Row{
		{Name: "shell", Workload: "growth-connections", N: 1, Failed: "shell client: too many"},
		{Name: "shell", Workload: "growth-connections", N: 3, Failed: "shell client: too many"},
	}, readReport(t, "growth").Rows)
	c.options = options{memory: true}
	c.available[0].Name, c.available[0].Script = "corba", ""
	require.NoError(t, c.run(t.Context()))
	rows := readReport(t, "memory").Rows
	require.Len(t, rows, 2)
	for _, row := range rows {
		assert.Contains(t, row.Failed, "corba server")
	}
}

// The run fails if one of our systems does, after it has measured the others.
func TestOursFails(t *testing.T) {
	ours := shell(`echo '{"addr": "here"}'; read -r line && echo '{"error": "too many"}'; cat >/dev/null`)
	ours.Name = "ours-unpolled"
	c, _, _ := small(t, ours, "netrpc")
	c.options.workloads = "serial"
	require.EqualError(t, c.run(t.Context()), "ours-unpolled failed under serial: ours-unpolled client: too many")
	assert.Equal(t, []string{"serial ours-unpolled", "serial netrpc"}, rowsOf(readReport(t, "full")))
}

func TestInterrupt(t *testing.T) {
	c, _, log := small(t, "netrpc", "ours")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	log.onWrite = func(s string) {
		if strings.Contains(s, "serial, round 2") {
			cancel()
		}
	}
	require.EqualError(t, c.run(ctx), "interrupted: context canceled")
	want := []string{"pipelined netrpc", "pipelined ours", "multi netrpc", "multi ours"}
	assert.Equal(t, want, rowsOf(readReport(t, "full")))
	assert.NotContains(t, log.String(), "compare:", "errors of the children are not logged")

	for _, o := range []options{{}, {growth: true}, {memory: true}, {backpressure: true}} {
		c, _, log := small(t, "ours")
		c.options = o
		require.ErrorIs(t, c.run(ctx), context.Canceled)
		assert.NotContains(t, log.String(), "skipped")
	}
}

// The tables are printed even if the file cannot be written.
func TestPublish(t *testing.T) {
	r := &report.Report{Mode: "quick", Host: report.Host{Date: "2026-11-22T03:11:52Z"}, Rows: []report.Row{
		{Name: "ours", Workload: "serial", Rate: 200, P50: 5}, {Name: "netrpc", Workload: "serial", Rate: 100, P50: 10},
	}}
	c, out, log := small(t)
	c.options.json = "missing/there.json"
	require.ErrorIs(t, c.publish(r), os.ErrNotExist)
	assert.Contains(t, out.String(), "2.00 x")
	assert.NotContains(t, out.String(), "written to")
	require.NoError(t, os.WriteFile("results", nil, 0o666))
	c.options.json = ""
	require.Error(t, c.publish(r))
	require.NoError(t, os.Remove("results"))
	require.NoError(t, c.publish(r))
	assert.FileExists(t, "results/20261122T031152Z-quick.json")
	c.options.json = "here.json"
	require.NoError(t, c.publish(r))
	again, err := report.Read("here.json")
	require.NoError(t, err)
	assert.Equal(t, r, again)
	assert.Empty(t, log.String())
}
