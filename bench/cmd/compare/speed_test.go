package main

import (
	"testing"

	"github.com/perspectivebroker/pb/bench/internal/child"
	"github.com/perspectivebroker/pb/bench/internal/systems"
	"github.com/stretchr/testify/assert"
)

func TestSupports(t *testing.T) {
	watch, many := workload{watch: true, conns: 1000, callers: 1}, workload{conns: 1, callers: 256}
	assert.False(t, supports(systems.System{}, watch))
	assert.True(t, supports(systems.System{Watches: true}, watch))
	assert.False(t, supports(systems.System{OnlyEcho: true}, many))
	assert.True(t, supports(systems.System{OnlyEcho: true}, workload{conns: 1, callers: 1, payload: 1000}))
	assert.False(t, supports(systems.System{OneCaller: true}, many))
	assert.False(t, supports(systems.System{MaxConns: 8}, workload{conns: 64, callers: 64}))
	assert.True(t, supports(systems.System{}, many))
}

// A row contains the medians of the rounds. For fanout it counts updates instead of changes.
func TestSeriesRow(t *testing.T) {
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
