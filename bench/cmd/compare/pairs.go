package main

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/perspectivebroker/pb/bench/internal/child"
	"github.com/perspectivebroker/pb/bench/internal/report"
	"github.com/perspectivebroker/pb/bench/internal/systems"
)

// pairs are the processes of the systems that are measured together.
type pairs struct {
	log    io.Writer
	launch launcher
	list   []*child.Pair
}

// launcher starts the processes of a system.
type launcher func(ctx context.Context, s systems.System) (*child.Pair, error)

// startAll starts the systems. It logs and skips a system that does not start, such as Twisted if it is not installed.
func (c comparison) startAll(ctx context.Context, list []systems.System) *pairs {
	return c.launchAll(ctx, list, func(ctx context.Context, s systems.System) (*child.Pair, error) {
		return child.StartPair(ctx, c.log, s, c.options.delay, c.childArgs()...)
	})
}

func (c comparison) launchAll(ctx context.Context, list []systems.System, launch launcher) *pairs {
	p := &pairs{log: c.log, launch: launch}
	for _, s := range list {
		if pair := p.start(ctx, s); pair != nil {
			p.list = append(p.list, pair)
		}
	}
	return p
}

// start starts a system. It returns nil if the system does not start.
func (p *pairs) start(ctx context.Context, s systems.System) *child.Pair {
	pair, err := p.launch(ctx, s)
	if err == nil {
		return pair
	}
	if ctx.Err() == nil {
		fmt.Fprintln(p.log, "compare: skipped:", err)
	}
	return nil
}

// end ends all processes.
func (p *pairs) end(ctx context.Context) {
	for _, pair := range p.list {
		p.endPair(ctx, pair)
	}
}

func (p *pairs) endPair(ctx context.Context, pair *child.Pair) {
	if err := pair.End(); err != nil && ctx.Err() == nil {
		fmt.Fprintln(p.log, "compare:", err)
	}
}

// measure measures the systems that can carry a load, which request opens, in interleaved rounds. A system that fails
// takes no part in the other rounds, and is started anew for the next load. An error means that ctx is done.
func (p *pairs) measure(
	ctx context.Context,
	d schedule,
	request child.Request,
	can func(systems.System) bool,
	progress func(round int),
) ([]*series, error) {
	var all []*series
	for _, pair := range p.list {
		if can(pair.System) {
			s := &series{pair: pair}
			s.ask(request)
			all = append(all, s)
		}
	}
	for round := range d.rounds {
		progress(round)
		for i := range all {
			// Each round starts with another system, so that no system always follows the same one.
			all[(i+round)%len(all)].round(d)
			if err := ctx.Err(); err != nil {
				return nil, err
			}
		}
	}
	for _, s := range all {
		s.ask(child.Request{Op: child.OpClose})
		if s.failed != nil {
			p.restart(ctx, s)
		}
	}
	return all, ctx.Err()
}

// restart replaces the processes of a system that has failed.
func (p *pairs) restart(ctx context.Context, s *series) {
	if ctx.Err() != nil {
		return
	}
	fmt.Fprintf(p.log, "\ncompare: %v\n", s.failed)
	p.endPair(ctx, s.pair)
	i := slices.Index(p.list, s.pair)
	if pair := p.start(ctx, s.pair.System); pair != nil {
		p.list[i] = pair
	} else {
		p.list = slices.Delete(p.list, i, i+1)
	}
}

// series is the results of the rounds of one system.
type series struct {
	pair                *child.Pair
	rate, p50, p99, cpu []float64
	failed              error
}

// ask sends a request to the client, unless the system has failed.
func (s *series) ask(r child.Request) (reply child.Reply) {
	if s.failed == nil {
		reply, s.failed = s.pair.Client.Ask(r)
	}
	return reply
}

// serverCPU returns the CPU time of the servers, unless the system has failed.
func (s *series) serverCPU() (cpu float64) {
	if s.failed == nil {
		cpu, s.failed = s.pair.ServerCPU()
	}
	return cpu
}

// usage asks the server for its usage, unless the system has failed.
func (s *series) usage() (reply child.Reply) {
	if s.failed == nil {
		reply, s.failed = s.pair.Server.Ask(child.Request{Op: child.OpUsage})
	}
	return reply
}

// round warms the system up and then measures it.
func (s *series) round(d schedule) {
	s.ask(child.Request{Op: child.OpRun, Millis: int(d.warmUp.Milliseconds())})
	before := s.serverCPU()
	r := s.ask(child.Request{Op: child.OpRun, Millis: int(d.round.Milliseconds())})
	after := s.serverCPU()
	if s.failed != nil {
		return
	}
	s.rate = append(s.rate, float64(r.Calls)/r.Seconds)
	s.p50, s.p99 = append(s.p50, r.P50), append(s.p99, r.P99)
	s.cpu = append(s.cpu, (r.CPU+after-before)/float64(r.Calls))
}

// row returns the medians of the rounds.
func (s *series) row(w workload) report.Row {
	name := s.pair.System.Name
	if s.failed != nil {
		return report.FailedRow(name, w.name, 0, s.failed)
	}
	row := report.Row{
		Name: name, Workload: w.name, Rates: s.rate,
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
