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
	p := c.startAll(ctx, list)
	defer p.end(ctx)
	return c.measureWorkloads(ctx, p, c.scale.workloads, isSelected)
}

func (c comparison) measureWorkloads(
	ctx context.Context, p *pairs, all []workload, isSelected func(string) bool,
) (rows []report.Row, err error) {
	for _, w := range all {
		if !isSelected(w.name) {
			continue
		}
		measured, err := c.measureWorkload(ctx, p, w)
		if rows = append(rows, measured...); err != nil {
			return rows, err
		}
	}
	return rows, nil
}

// measureWorkload measures all systems under one workload.
func (c comparison) measureWorkload(ctx context.Context, p *pairs, w workload) (rows []report.Row, err error) {
	request := child.Request{
		Op: child.OpOpen, Conns: w.conns, Callers: w.callers, Payload: w.payload, Watch: w.watch, Structs: w.structs,
	}
	can := func(s systems.System) bool { return supports(s, w) }
	all, err := p.measure(ctx, c.scale.schedule, request, can, func(round int) {
		fmt.Fprintf(c.log, "\r%s, round %d of %d ", w.name, round+1, c.scale.schedule.rounds)
	})
	fmt.Fprintln(c.log)
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		rows = append(rows, s.row(w))
	}
	return rows, nil
}

// supports reports whether the system can run the workload.
func supports(s systems.System, w workload) bool {
	return (!s.OnlyEcho || w.payload > 0) && (!w.watch || s.Watches) && (!w.structs || s.Structs) &&
		(!s.OneCaller || w.watch || w.callers == w.conns) && (s.MaxConns == 0 || w.conns <= s.MaxConns)
}
