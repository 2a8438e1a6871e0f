package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/perspectivebroker/pb/bench/internal/child"
	"github.com/perspectivebroker/pb/bench/internal/codecs"
	"github.com/perspectivebroker/pb/bench/internal/report"
	"github.com/perspectivebroker/pb/bench/internal/systems"
	"github.com/perspectivebroker/pb/bench/internal/webs"
)

// workload is a load under which the systems are compared.
type workload struct {
	name    string
	conns   int
	callers int
	payload int  // bytes to echo; 0 for adding two numbers
	watch   bool // every connection watches one object
	structs bool // send and receive structs
}

// bulkSize is the payload of bulk, slightly below the maximum string size of stock Twisted.
const bulkSize = 512 << 10

var workloads = []workload{
	{name: "serial", conns: 1, callers: 1},
	{name: "pipelined", conns: 1, callers: 256},
	{name: "multi", conns: 64, callers: 64 * 8},
	{name: "serial8", conns: 8, callers: 8},
	{name: "wide", conns: 64, callers: 64},
	{name: "bulk", conns: 1, callers: 1, payload: bulkSize},
	{name: "bulk16", conns: 1, callers: 16, payload: bulkSize},
	{name: "structs", conns: 1, callers: 256, structs: true},
	{name: "fanout", conns: observers, callers: 1, watch: true},
}

// observers is the number of connections that watch the object of fanout. A call of fanout is one change that all of
// them have seen.
const observers = 1000

// codec is the workload that measures codecs in this process.
const codec = "codec"

// measureSpeed measures the selected workloads.
func (c comparison) measureSpeed(ctx context.Context, list []systems.System) ([]report.Row, error) {
	wanted := names(c.options.workloads)
	isSelected := func(name string) bool { return len(wanted) == 0 || wanted[name] }
	rows, err := c.measureCalls(ctx, list, isSelected)
	if err == nil && isSelected(codec) {
		fmt.Fprintln(c.log, codec)
		var measured []report.Row
		measured, err = codecs.Measure(ctx, c.log, c.scale.schedule.rounds, c.scale.schedule.codec, c.scale.values...)
		rows = append(rows, measured...)
	}
	if err == nil && wanted[webs.Requests] {
		var measured []report.Row
		measured, err = c.measureWeb(ctx)
		rows = append(rows, measured...)
	}
	return rows, err
}

// measureWeb measures fronts and backs of package web and of stock Twisted.
func (c comparison) measureWeb(ctx context.Context) ([]report.Row, error) {
	plan := webs.Plan{
		Rounds: c.scale.schedule.rounds, WarmUp: c.scale.schedule.warmUp, Round: c.scale.schedule.round,
	}
	if c.options.profile != "" {
		plan.Args = []string{"-profile", c.options.profile}
	}
	return webs.Measure(ctx, c.log, plan)
}

func (c comparison) measureCalls(
	ctx context.Context, list []systems.System, isSelected func(string) bool,
) (rows []report.Row, err error) {
	if !slices.ContainsFunc(c.scale.workloads, func(w workload) bool { return isSelected(w.name) }) {
		return nil, nil
	}
	pairs, end := c.startAll(ctx, list)
	defer end()
	for _, w := range c.scale.workloads {
		if !isSelected(w.name) {
			continue
		}
		measured, err := c.measureWorkload(ctx, pairs, w)
		rows = append(rows, measured...)
		if err != nil {
			return rows, err
		}
	}
	return rows, nil
}

// series is the results of the rounds of one system.
type series struct {
	pair                *child.Pair
	rate, p50, p99, cpu []float64
}

// measureWorkload measures all systems under one workload in interleaved rounds.
func (c comparison) measureWorkload(ctx context.Context, pairs []*child.Pair, w workload) ([]report.Row, error) {
	var all []*series
	for _, pair := range pairs {
		if !supports(pair.System, w) {
			continue
		}
		if _, err := pair.Client.Ask(child.Request{
			Op: child.OpOpen, Conns: w.conns, Callers: w.callers, Payload: w.payload, Watch: w.watch, Structs: w.structs,
		}); err != nil {
			return nil, err
		}
		all = append(all, &series{pair: pair})
	}
	for round := range c.scale.schedule.rounds {
		fmt.Fprintf(c.log, "\r%s, round %d of %d ", w.name, round+1, c.scale.schedule.rounds)
		for i := range all {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			// Each round starts with another system, so that no system always follows the same one.
			if err := all[(i+round)%len(all)].round(c.scale.schedule); err != nil {
				return nil, err
			}
		}
	}
	fmt.Fprintln(c.log)
	var rows []report.Row
	for _, s := range all {
		if _, err := s.pair.Client.Ask(child.Request{Op: child.OpClose}); err != nil {
			return rows, err
		}
		rows = append(rows, s.row(w))
	}
	return rows, nil
}

// supports reports whether the system can run the workload.
func supports(s systems.System, w workload) bool {
	return (!w.watch || s.Watches) && (!w.structs || s.Structs) && (!s.OneCaller || w.callers == w.conns) &&
		(s.MaxConns == 0 || w.conns <= s.MaxConns)
}

// round warms the system up and then measures it.
func (s *series) round(d schedule) error {
	if _, err := s.pair.Client.Ask(child.Request{Op: child.OpRun, Millis: int(d.warmUp.Milliseconds())}); err != nil {
		return err
	}
	before, err := s.pair.Server.Ask(child.Request{Op: child.OpUsage})
	if err != nil {
		return err
	}
	r, err := s.pair.Client.Ask(child.Request{Op: child.OpRun, Millis: int(d.round.Milliseconds())})
	if err != nil {
		return err
	}
	after, err := s.pair.Server.Ask(child.Request{Op: child.OpUsage})
	if err != nil {
		return err
	}
	s.rate = append(s.rate, float64(r.Calls)/r.Seconds)
	s.p50, s.p99 = append(s.p50, r.P50), append(s.p99, r.P99)
	s.cpu = append(s.cpu, (r.CPU+after.CPU-before.CPU)/float64(r.Calls))
	return nil
}

func (s *series) row(w workload) report.Row {
	row := report.Row{
		Name: s.pair.System.Name, Workload: w.name, Rates: s.rate,
		Rate: report.Median(s.rate), P50: report.Median(s.p50), P99: report.Median(s.p99), CPU: report.Median(s.cpu),
	}
	if w.watch {
		// Count updates instead of changes. The latencies remain those of a change, until all observers have seen it.
		for i := range row.Rates {
			row.Rates[i] *= float64(w.conns)
		}
		row.Rate, row.CPU = row.Rate*float64(w.conns), row.CPU/float64(w.conns)
	}
	row.MBs = row.Rate * float64(w.payload) / 1e6
	return row
}
