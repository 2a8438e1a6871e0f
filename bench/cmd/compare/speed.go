package main

import (
	"context"
	"fmt"

	"github.com/perspectivebroker/pb/bench/internal/child"
	"github.com/perspectivebroker/pb/bench/internal/codecs"
	"github.com/perspectivebroker/pb/bench/internal/report"
	"github.com/perspectivebroker/pb/bench/internal/systems"
)

// workload is a kind of load that all systems get.
type workload struct {
	name    string
	conns   int
	callers int
	payload int // 0: add two numbers
	watch   bool
}

// bulkSize is the payload of bulk: near the largest string that stock Twisted takes.
const bulkSize = 512 << 10

var workloads = []workload{
	{name: "serial", conns: 1, callers: 1},
	{name: "pipelined", conns: 1, callers: 256},
	{name: "multi", conns: 64, callers: 64 * 8},
	{name: "bulk", conns: 1, callers: 1, payload: bulkSize},
	{name: "fanout", conns: observers, callers: 1, watch: true},
}

// observers is how many connections watch the one object of fanout. A call there is one change that all of them have seen.
const observers = 1000

// codec is measured in this process, and not with these.
const codec = "codec"

// speed measures all workloads, one after the other.
func (c comparison) speed(ctx context.Context, list []systems.System) ([]report.Row, error) {
	wanted := names(c.options.workloads)
	is := func(name string) bool { return len(wanted) == 0 || wanted[name] }
	rows, err := c.speedOfCalls(ctx, list, is)
	if err != nil || !is(codec) {
		return rows, err
	}
	fmt.Fprintln(c.log, codec)
	measured, err := codecs.Measure(ctx, c.log, c.scale.pace.rounds, c.scale.pace.codec, c.scale.values...)
	return append(rows, measured...), err
}

func (c comparison) speedOfCalls(ctx context.Context, list []systems.System, is func(string) bool) (rows []report.Row, err error) {
	pairs, end := c.startAll(ctx, list)
	defer end()
	for _, w := range c.scale.workloads {
		if !is(w.name) {
			continue
		}
		measured, err := c.compare(ctx, pairs, w)
		rows = append(rows, measured...)
		if err != nil {
			return rows, err
		}
	}
	return rows, nil
}

// series is what the rounds of one system have shown.
type series struct {
	pair                *child.Pair
	rate, p50, p99, cpu []float64
}

// compare puts all systems under one workload, in interleaved rounds.
func (c comparison) compare(ctx context.Context, pairs []*child.Pair, w workload) ([]report.Row, error) {
	var all []*series
	for _, pair := range pairs {
		if !suits(pair.System, w) {
			continue
		}
		if _, err := pair.Client.Ask(child.Request{
			Op: child.OpOpen, Conns: w.conns, Callers: w.callers, Payload: w.payload, Watch: w.watch,
		}); err != nil {
			return nil, err
		}
		all = append(all, &series{pair: pair})
	}
	for round := range c.scale.pace.rounds {
		fmt.Fprintf(c.log, "\r%s, round %d of %d ", w.name, round+1, c.scale.pace.rounds)
		for i := range all {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			// Each round begins with another system, so that none always follows the same.
			if err := all[(i+round)%len(all)].round(c.scale.pace); err != nil {
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

func suits(s systems.System, w workload) bool {
	return (!w.watch || s.Watches) && (!s.OneCaller || w.callers == w.conns) && (s.MaxConns == 0 || w.conns <= s.MaxConns)
}

// round warms the system up and then measures it.
func (s *series) round(p pace) error {
	if _, err := s.pair.Client.Ask(child.Request{Op: child.OpRun, Millis: int(p.warm.Milliseconds())}); err != nil {
		return err
	}
	before, err := s.pair.Server.Ask(child.Request{Op: child.OpUsage})
	if err != nil {
		return err
	}
	r, err := s.pair.Client.Ask(child.Request{Op: child.OpRun, Millis: int(p.round.Milliseconds())})
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
		// A change is as many updates as there are observers; the latencies remain those until all have it.
		for i := range row.Rates {
			row.Rates[i] *= float64(w.conns)
		}
		row.Rate, row.CPU = row.Rate*float64(w.conns), row.CPU/float64(w.conns)
	}
	row.MBs = row.Rate * float64(w.payload) / 1e6
	return row
}
