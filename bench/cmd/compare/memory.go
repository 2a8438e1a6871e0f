package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/perspectivebroker/pb/bench/internal/child"
	"github.com/perspectivebroker/pb/bench/internal/report"
	"github.com/perspectivebroker/pb/bench/internal/systems"
)

// How much of everything is weighed. Limits of the library and of the process are raised for it.
const (
	idleConns      = 10_000
	exportedHere   = 1_000_000
	heldCalls      = 50_000
	quickIdleConns = 1_000
	quickExported  = 100_000
	quickHeld      = 10_000
)

// memory weighs idle connections of every system that is a Go program, and of ours exported objects, references and unanswered calls.
func memory(ctx context.Context, o options) ([]report.Row, error) {
	conns, exports, held := idleConns, exportedHere, heldCalls
	if o.quick {
		conns, exports, held = quickIdleConns, quickExported, quickHeld
	}
	list, err := chosen(o)
	if err != nil {
		return nil, err
	}
	var rows []report.Row
	for _, s := range list {
		if s.Script != "" || s.Name == "ours-reflected" {
			continue
		}
		n := conns
		if s.MostConns > 0 {
			n = min(n, s.MostConns)
		}
		// A pair of its own for each weighing: what was there before would be weighed too.
		idle, err := weigh(ctx, s, n, child.Request{Op: child.OpOpen, Conns: n})
		if err != nil {
			return rows, err
		}
		rows = append(rows, idle.row(s.Name, "memory-idle-connection", n, idle.server),
			idle.row(s.Name, "memory-idle-connection-client", n, idle.client))
	}
	if len(list) == 0 || list[0].Name != "ours" {
		return rows, nil
	}
	objects, err := weigh(ctx, list[0], exports, child.Request{Op: child.OpOpen, Conns: 1, Exports: exports})
	if err != nil {
		return rows, err
	}
	rows = append(rows, objects.row("ours", "memory-exported-object", exports, objects.server),
		objects.row("ours", "memory-remote-reference", exports, objects.client))
	called, err := weigh(ctx, list[0], exports,
		child.Request{Op: child.OpOpen, Conns: 1, Exports: exports, Callers: 1}, child.Request{Op: child.OpTour})
	if err != nil {
		return rows, err
	}
	rows = append(rows, called.row("ours", "memory-exported-object-called", exports, called.server))
	calls, err := weigh(ctx, list[0], held,
		child.Request{Op: child.OpOpen, Conns: 1}, child.Request{Op: child.OpHold, Count: held})
	if err != nil {
		return rows, err
	}
	rows = append(rows, calls.row("ours", "memory-outstanding-call", held, calls.client),
		calls.row("ours", "memory-unanswered-call-server", held, calls.server))
	caches, err := weigh(ctx, list[0], held, child.Request{Op: child.OpOpen, Conns: 1, Caches: held})
	if err != nil {
		return rows, err
	}
	return append(rows, caches.row("ours", "memory-cached-original", held, caches.server),
		caches.row("ours", "memory-cached-copy", held, caches.client)), nil
}

// weight is what both ends have gained.
type weight struct{ server, client child.Reply }

// weigh asks a fresh pair for something, and says what that has added to what both processes use.
func weigh(ctx context.Context, s systems.System, n int, requests ...child.Request) (w weight, err error) {
	fmt.Fprintf(os.Stderr, "%s: %s of %d\n", s.Name, requests[len(requests)-1].Op, n)
	pair, err := child.StartPair(ctx, os.Stderr, s)
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

func (weight) row(name, what string, n int, r child.Reply) report.Row {
	each := func(v uint64) float64 { return float64(v) / float64(n) }
	return report.Row{
		Name: name, Workload: what, N: n, Bytes: each(r.Heap + r.Stack), Heap: each(r.Heap), Stack: each(r.Stack), RSS: each(r.RSS),
		Goroutines: float64(r.Goroutines) / float64(n),
	}
}
