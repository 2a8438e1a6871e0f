package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/perspectivebroker/pb/bench/internal/child"
	"github.com/perspectivebroker/pb/bench/internal/report"
	"github.com/perspectivebroker/pb/bench/internal/systems"
)

// weights say how much of everything is weighed. Limits of the library and of the process are raised for it.
type weights struct{ idle, exported, held int }

var (
	quickWeights = weights{idle: 1_000, exported: 100_000, held: 10_000}
	fullWeights  = weights{idle: 10_000, exported: 1_000_000, held: 50_000}
)

// weighing is one thing that is weighed, n of it, and what it is called at the two ends: nothing where it is not looked at.
type weighing struct {
	n              int
	requests       []child.Request
	server, client string
}

func idleConnections(n int) weighing {
	return weighing{n, []child.Request{{Op: child.OpOpen, Conns: n}}, "memory-idle-connection", "memory-idle-connection-client"}
}

// ofOurs is what only ours has.
func (w weights) ofOurs() []weighing {
	return []weighing{
		{
			w.exported, []child.Request{{Op: child.OpOpen, Conns: 1, Exports: w.exported}},
			"memory-exported-object", "memory-remote-reference",
		},
		{
			w.exported, []child.Request{{Op: child.OpOpen, Conns: 1, Exports: w.exported, Callers: 1}, {Op: child.OpCallAll}},
			"memory-exported-object-called", "",
		},
		{
			w.held, []child.Request{{Op: child.OpOpen, Conns: 1}, {Op: child.OpHold, Count: w.held}},
			"memory-unanswered-call-server", "memory-outstanding-call",
		},
		{
			w.held, []child.Request{{Op: child.OpOpen, Conns: 1, Caches: w.held}},
			"memory-cached-original", "memory-cached-copy",
		},
	}
}

// weighAll weighs idle connections of every system that is a Go program, and of ours exported objects, references and unanswered calls.
func (c comparison) weighAll(ctx context.Context, list []systems.System) (rows []report.Row, err error) {
	for _, s := range list {
		if s.Script != "" || s.Name == "ours-reflected" {
			continue
		}
		n := c.scale.weights.idle
		if s.MaxConns > 0 {
			n = min(n, s.MaxConns)
		}
		if rows, err = c.weigh(ctx, rows, s, idleConnections(n)); err != nil {
			return rows, err
		}
	}
	if len(list) == 0 || list[0].Name != "ours" {
		return rows, nil
	}
	for _, w := range c.scale.weights.ofOurs() {
		if rows, err = c.weigh(ctx, rows, list[0], w); err != nil {
			return rows, err
		}
	}
	return rows, nil
}

// weigh adds the rows of one weighing.
func (c comparison) weigh(ctx context.Context, rows []report.Row, s systems.System, w weighing) ([]report.Row, error) {
	fmt.Fprintf(c.log, "%s: %s of %d\n", s.Name, w.requests[len(w.requests)-1].Op, w.n)
	gained, err := c.gained(ctx, s, w.requests)
	if err != nil {
		return rows, err
	}
	rows = append(rows, row(s.Name, w.server, w.n, gained.server))
	if w.client != "" {
		rows = append(rows, row(s.Name, w.client, w.n, gained.client))
	}
	return rows, nil
}

// weight is what both ends have gained.
type weight struct{ server, client child.Reply }

// gained asks a fresh pair for something, and says what that has added to what both processes use. A pair of its own for each weighing:
// what was there before would be weighed too.
func (c comparison) gained(ctx context.Context, s systems.System, requests []child.Request) (w weight, err error) {
	pair, err := child.StartPair(ctx, c.log, s)
	if err != nil {
		return w, err
	}
	defer func() { err = errors.Join(err, pair.End()) }()
	// The first connection brings what is made once.
	for _, op := range []string{child.OpOpen, child.OpClose} {
		if _, err := pair.Client.Ask(child.Request{Op: op, Conns: 1}); err != nil {
			return w, err
		}
	}
	before, err := usages(pair)
	if err != nil {
		return w, err
	}
	for _, r := range requests {
		if _, err := pair.Client.Ask(r); err != nil {
			return w, err
		}
	}
	after, err := usages(pair)
	if err != nil {
		return w, err
	}
	return weight{minus(after.server, before.server), minus(after.client, before.client)}, nil
}

func usages(pair *child.Pair) (w weight, err error) {
	if w.server, err = pair.Server.Ask(child.Request{Op: child.OpUsage, Collect: true}); err != nil {
		return w, err
	}
	w.client, err = pair.Client.Ask(child.Request{Op: child.OpUsage, Collect: true})
	return w, err
}

func minus(a, b child.Reply) child.Reply {
	return child.Reply{
		Heap: less(a.Heap, b.Heap), Stack: less(a.Stack, b.Stack), RSS: less(a.RSS, b.RSS),
		Goroutines: max(0, a.Goroutines-b.Goroutines),
	}
}

func less(a, b uint64) uint64 {
	if a < b {
		return 0
	}
	return a - b
}

func row(name, what string, n int, r child.Reply) report.Row {
	each := func(v uint64) float64 { return float64(v) / float64(n) }
	return report.Row{
		Name: name, Workload: what, N: n, Bytes: each(r.Heap + r.Stack), Heap: each(r.Heap), Stack: each(r.Stack), RSS: each(r.RSS),
		Goroutines: float64(r.Goroutines) / float64(n),
	}
}
