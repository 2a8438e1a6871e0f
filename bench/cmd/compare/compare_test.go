package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/perspectivebroker/pb/bench/internal/child"
	"github.com/perspectivebroker/pb/bench/internal/report"
	"github.com/perspectivebroker/pb/bench/internal/systems"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestChosenSystems(t *testing.T) {
	names := func(o options) (list []string) {
		chosen, err := chosen(o)
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
	for _, o := range []options{{only: "ours,corba"}, {with: "corba"}} {
		_, err := chosen(o)
		assert.ErrorContains(t, err, `no system "corba"`)
	}
	assert.ErrorContains(t, run(options{role: "server", system: "corba"}), `no system "corba"`)
}

func TestPace(t *testing.T) {
	assert.Equal(t, fullPace, paceOf(options{}))
	assert.Equal(t, quickPace, paceOf(options{quick: true}))
	assert.Equal(t, 2, paceOf(options{quick: true, rounds: 2}).rounds)
}

func TestOnlyFitWorkloads(t *testing.T) {
	watch, many := workload{watch: true, conns: 1000, callers: 1}, workload{conns: 1, callers: 256}
	assert.False(t, suits(systems.System{}, watch))
	assert.True(t, suits(systems.System{Watches: true}, watch))
	assert.False(t, suits(systems.System{OneCaller: true}, many))
	assert.False(t, suits(systems.System{MostConns: 8}, workload{conns: 64, callers: 64}))
	assert.True(t, suits(systems.System{}, many))
}

// What the rounds have shown becomes medians; of fanout, updates rather than changes are counted.
func TestRowOfASeries(t *testing.T) {
	s := &series{
		rate: []float64{30, 10, 20}, p50: []float64{3, 1, 2}, p99: []float64{9, 7, 8}, cpu: []float64{500, 100, 300},
	}
	s.pair = &child.Pair{System: systems.System{Name: "ours"}}
	row := s.row(workload{name: "bulk", conns: 1, payload: 1_000_000})
	assert.Equal(t, "ours", row.Name)
	assert.InDelta(t, 20, row.Rate, 0)
	assert.InDelta(t, 20, row.MBs, 0)
	assert.InDelta(t, 2, row.P50, 0)
	row = s.row(workload{name: "fanout", conns: 100, watch: true})
	assert.InDelta(t, 2000, row.Rate, 0)
	assert.InDelta(t, 3, row.CPU, 0)
}

func TestPublishedResultsCanBeReadAgain(t *testing.T) {
	t.Chdir(t.TempDir())
	r := &report.Report{Mode: "quick", Host: report.ThisHost(), Rows: []report.Row{
		{Name: "ours", Workload: "serial", Rate: 200, P50: 5}, {Name: "netrpc", Workload: "serial", Rate: 100, P50: 10},
	}}
	require.NoError(t, publish(r, ""))
	found, err := filepath.Glob("results/*-quick.json")
	require.NoError(t, err)
	require.Len(t, found, 1)
	again, err := report.Read(found[0])
	require.NoError(t, err)
	assert.Equal(t, r.Rows, again.Rows)
	require.NoError(t, publish(r, "here.json"))
	_, err = os.Stat("here.json")
	require.NoError(t, err)
	assert.Error(t, publish(r, filepath.Join("missing", "there.json")))
}
