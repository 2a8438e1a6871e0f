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

// small is a comparison of milliseconds, and what it writes. Its systems are named, or scripts.
func small(t *testing.T, known ...any) (c comparison, out, log *text) {
	t.Helper()
	t.Chdir(t.TempDir())
	out, log = &text{}, &text{}
	c = comparison{out: out, log: log, scale: scale{
		pace: pace{rounds: 2, warm: time.Millisecond, round: 5 * time.Millisecond, codec: time.Millisecond},
		workloads: []workload{
			{name: "pipelined", conns: 1, callers: 16},
			{name: "multi", conns: 4, callers: 8},
			{name: "serial", conns: 1, callers: 1},
			{name: "bulk", conns: 1, callers: 1, payload: 64 << 10},
			{name: "fanout", conns: 5, callers: 1, watch: true},
		},
		values:  []string{"small"},
		growths: []growing{growths[0], growths[1], growths[2]},
		weights: weights{idle: 100, exported: 1000, held: 200},
		// A flood of calls of one slow object keeps a busy machine for a minute.
		rudes: []rude{rudes[0], rudes[1], rudes[3]},
	}}
	for i, sizes := range [][]int{{1, 3}, {1, 20}, {16, 1024}} {
		c.scale.growths[i].sizes = sizes
	}
	for _, k := range known {
		if name, ok := k.(string); ok {
			s, ok := systems.ByName(name)
			require.True(t, ok, name)
			c.known = append(c.known, s)
		} else {
			c.known = append(c.known, k.(systems.System))
		}
	}
	return c, out, log
}

// shell is a system of one caller whose two ends are shell scripts.
func shell(script string) systems.System {
	return systems.System{Name: "shell", Script: script, Interpreter: "/bin/sh", OneCaller: true}
}

// written is the only report in results/.
func written(t *testing.T, mode string) *report.Report {
	t.Helper()
	found, err := filepath.Glob("results/*-" + mode + ".json")
	require.NoError(t, err)
	require.Len(t, found, 1)
	r, err := report.Read(found[0])
	require.NoError(t, err)
	assert.Equal(t, mode, r.Mode)
	return r
}

func rowsOf(r *report.Report) (list []string) {
	for _, row := range r.Rows {
		list = append(list, row.Workload+" "+row.Name)
	}
	return list
}

func TestChosenSystems(t *testing.T) {
	c := comparison{known: systems.All()}
	names := func(o options) (list []string) {
		c.options = o
		chosen, err := c.chosen()
		require.NoError(t, err)
		for _, s := range chosen {
			list = append(list, s.Name)
		}
		return list
	}
	assert.ElementsMatch(t, []string{"ours", "netrpc"}, names(options{only: "ours, netrpc"}))
	usual := names(options{})
	assert.Contains(t, usual, "ours")
	assert.NotContains(t, usual, "nats")
	assert.ElementsMatch(t, append(usual, "nats"), names(options{with: "nats"}))
}

// Every system gets every workload that it can carry, and each its rows, with as many rates as there were rounds.
func TestWorkloadsOfSpeed(t *testing.T) {
	c, out, log := small(t, "ours", "netrpc", "rawtcp")
	require.NoError(t, c.run(t.Context()), log)
	r := written(t, "full")
	codecs := slices.IndexFunc(r.Rows, func(row report.Row) bool { return strings.HasPrefix(row.Workload, "codec") })
	require.Positive(t, codecs, "codecs are measured too, after all calls")
	assert.Equal(t, "codec-encode-small ours", rowsOf(r)[codecs])
	calls := report.Report{Rows: r.Rows[:codecs]}
	assert.Equal(t, []string{
		"pipelined ours", "pipelined netrpc", "multi ours", "multi netrpc", // One after the other is all that rawtcp can carry.
		"serial ours", "serial netrpc", "serial rawtcp", "bulk ours", "bulk netrpc", "bulk rawtcp",
		"fanout ours", // The only one with something to watch.
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

func TestWorkloadsCanBeChosen(t *testing.T) {
	c, _, log := small(t, "netrpc", "rawtcp")
	c.options = options{workloads: "multi,serial", quick: true}
	require.NoError(t, c.run(t.Context()), log)
	assert.Equal(t, []string{"multi netrpc", "serial netrpc", "serial rawtcp"}, rowsOf(written(t, "quick")))
}

func TestGrowth(t *testing.T) {
	c, out, log := small(t, "ours", "ours-reflected", "netrpc", "rawtcp")
	c.options.growth = true
	require.NoError(t, c.run(t.Context()), log)
	r := written(t, "growth")
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
		"growth-connections ours", "growth-connections netrpc", "growth-exports ours", "growth-payload ours", "growth-payload netrpc",
	}, found)
	assert.Equal(t, []int{1, 3}, sizes["growth-connections netrpc"])
	assert.Equal(t, []int{1, 20}, sizes["growth-exports ours"])
	assert.Contains(t, log.String(), "growth-payload 1024\n")
	assert.Contains(t, out.String(), "growth-exports")
}

// Who is asked for by name is measured too, as far as it goes.
func TestGrowthOfOthers(t *testing.T) {
	few, ok := systems.ByName("netrpc")
	require.True(t, ok)
	few.MaxConns = 1
	c, _, log := small(t, "ours-reflected", few, "rawtcp")
	c.options = options{growth: true, only: "ours-reflected,netrpc,rawtcp"}
	c.scale.growths = c.scale.growths[:1]
	require.NoError(t, c.run(t.Context()), log)
	assert.Equal(t, []string{
		"growth-connections ours-reflected", "growth-connections netrpc", "growth-connections ours-reflected",
	}, rowsOf(written(t, "growth")))
}

func TestMemory(t *testing.T) {
	few, ok := systems.ByName("netrpc")
	require.True(t, ok)
	few.MaxConns = 7
	c, _, log := small(t, "ours", "ours-reflected", few, "twisted")
	c.options.memory = true
	require.NoError(t, c.run(t.Context()), log)
	r := written(t, "memory")
	assert.Equal(t, []string{
		"memory-idle-connection ours", "memory-idle-connection-client ours",
		"memory-idle-connection netrpc", "memory-idle-connection-client netrpc",
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
	assert.Equal(t, 7, idle.N, "as many as it can be expected to make")
	assert.Positive(t, idle.Goroutines)
	objects, _ := r.Find("ours", "memory-exported-object")
	assert.Equal(t, 1000, objects.N)
	assert.Positive(t, objects.Heap)
	calls, _ := r.Find("ours", "memory-outstanding-call")
	assert.Equal(t, 200, calls.N)
}

func TestMemoryOfOthersOnly(t *testing.T) {
	c, _, log := small(t, "ours", "netrpc")
	c.options = options{memory: true, only: "netrpc"}
	require.NoError(t, c.run(t.Context()), log)
	assert.Equal(t, []string{"memory-idle-connection netrpc", "memory-idle-connection-client netrpc"}, rowsOf(written(t, "memory")))
}

// What has got smaller weighs nothing: a collector at work must not turn a number around.
func TestNothingWeighsLessThanNothing(t *testing.T) {
	assert.EqualValues(t, 0, less(3, 5))
	assert.EqualValues(t, 2, less(5, 3))
}

// A system that cannot be had is left out with a word, as Twisted is where it is not installed.
func TestSystemsThatDoNotStartAreLeftOut(t *testing.T) {
	missing := systems.System{Name: "corba", Script: "-", Interpreter: "/missing/interpreter"}
	c, _, log := small(t, missing, "netrpc", shell("echo no shell today >&2; exit 3"))
	c.options.workloads = "serial"
	require.NoError(t, c.run(t.Context()))
	assert.Equal(t, []string{"serial netrpc"}, rowsOf(written(t, "full")))
	assert.Contains(t, log.String(), "compare: left out: starting corba server: ")
	assert.Contains(t, log.String(), "no shell today\ncompare: left out: shell server did not start")

	c, out, _ := small(t, missing)
	c.options.workloads = "serial"
	require.EqualError(t, c.run(t.Context()), "nothing was measured")
	assert.Empty(t, out.String())
	assert.NoDirExists(t, "results")
	c.options.memory = true
	c.known[0].Script = ""
	assert.ErrorContains(t, c.run(t.Context()), "starting corba server")
}

// What was measured before something went wrong is shown, and it is said what did.
func TestASystemThatDiesEndsTheRun(t *testing.T) {
	const answers = "echo '{\"addr\": \"here\"}'; read -r line && echo '{}'; "
	for script, want := range map[string]string{
		answers + "read -r line; exit 3": "shell client: EOF",
		answers + "read -r line; echo '{\"error\": \"a wrong answer\"}'; cat >/dev/null":                            "shell client: a wrong answer",
		"echo '{\"addr\": \"here\"}'; read -r line && echo '{\"error\": \"too many connections\"}'; cat >/dev/null": "shell client: too many connections",
	} {
		c, out, _ := small(t, "netrpc", shell(script))
		c.options.workloads = "pipelined,serial"
		require.EqualError(t, c.run(t.Context()), want)
		assert.Equal(t, []string{"pipelined netrpc"}, rowsOf(written(t, "full")))
		assert.Contains(t, out.String(), "pipelined")
	}
	c, _, _ := small(t, shell(answers+"read -r line; exit 3"))
	c.options = options{growth: true, only: "shell"}
	require.EqualError(t, c.run(t.Context()), "nothing was measured", "it carries one call at a time")
	c.known[0].OneCaller = false
	require.EqualError(t, c.run(t.Context()), "shell client: EOF")
	c.options = options{memory: true}
	c.known[0].Name, c.known[0].Script = "corba", ""
	require.ErrorContains(t, c.run(t.Context()), "corba server")
}

func TestAnInterruptedRunShowsWhatItHas(t *testing.T) {
	c, _, log := small(t, "netrpc", "ours")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	log.written = func(s string) {
		if strings.Contains(s, "serial, round 2") {
			cancel()
		}
	}
	require.EqualError(t, c.run(ctx), "interrupted: context canceled")
	assert.Equal(t, []string{"pipelined netrpc", "pipelined ours", "multi netrpc", "multi ours"}, rowsOf(written(t, "full")))
	assert.NotContains(t, log.String(), "compare:", "that its processes ended goes without saying")

	for _, o := range []options{{}, {growth: true}, {memory: true}, {backpressure: true}} {
		c, _, log := small(t, "ours")
		c.options = o
		require.ErrorIs(t, c.run(ctx), context.Canceled)
		assert.NotContains(t, log.String(), "left out")
	}
}

// A file that cannot be written does not cost what minutes of measuring have brought.
func TestTablesAreShownWhereTheFileCannotBeWritten(t *testing.T) {
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
