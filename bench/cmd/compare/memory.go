package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/perspectivebroker/pb/bench/internal/child"
	"github.com/perspectivebroker/pb/bench/internal/report"
	"github.com/perspectivebroker/pb/bench/internal/systems"
)

// memoryCounts are the numbers of idle connections, exported objects and held calls of the memory measurement. They
// exceed the default limits of the library and of the process, which are raised.
type memoryCounts struct{ idle, exported, held int }

var (
	quickCounts = memoryCounts{idle: 1_000, exported: 100_000, held: 10_000}
	fullCounts  = memoryCounts{idle: 10_000, exported: 100_000, held: 50_000}
)

// memoryTest measures the memory of n items of one kind.
type memoryTest struct {
	n              int
	requests       []child.Request // create the items
	server, client string          // names of the two rows; client is empty if there is only one
}

func idleConnections(n int) memoryTest {
	return memoryTest{
		n, []child.Request{{Op: child.OpOpen, Conns: n}},
		"memory-idle-connection", "memory-idle-connection-client",
	}
}

// endedConnections measures what stays of n connections that were open at once, when all of them have ended.
func endedConnections(n int) memoryTest {
	return memoryTest{
		n, []child.Request{{Op: child.OpOpen, Conns: n}, {Op: child.OpClose}},
		"memory-ended-connection", "memory-ended-connection-client",
	}
}

// tests returns the tests that only ours supports.
func (w memoryCounts) tests() []memoryTest {
	return []memoryTest{
		{
			w.exported, []child.Request{{Op: child.OpOpen, Conns: 1, Exports: w.exported}},
			"memory-exported-object", "memory-remote-reference",
		},
		{
			w.exported,
			[]child.Request{{Op: child.OpOpen, Conns: 1, Exports: w.exported, Callers: 1}, {Op: child.OpCallAll}},
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

// measureMemory measures idle and ended connections of every system written in Go, and exported objects, references,
// held calls and caches of ours.
func (c comparison) measureMemory(ctx context.Context, list []systems.System) (rows []report.Row, err error) {
	for _, s := range list {
		if s.Script != "" || s.Name == "ours-reflected" || s.OnlyEcho {
			continue
		}
		n := c.scale.memoryCounts.idle
		if s.MaxConns > 0 {
			n = min(n, s.MaxConns)
		}
		for _, w := range []memoryTest{idleConnections(n), endedConnections(n)} {
			if rows, err = c.measureTest(ctx, rows, s, w); err != nil {
				return rows, err
			}
		}
	}
	if len(list) == 0 || list[0].Name != "ours" {
		return rows, nil
	}
	for _, w := range c.scale.memoryCounts.tests() {
		if rows, err = c.measureTest(ctx, rows, list[0], w); err != nil {
			return rows, err
		}
	}
	return rows, nil
}

// measureTest appends the rows of one test. An error means that ctx is done.
func (c comparison) measureTest(
	ctx context.Context, rows []report.Row, s systems.System, w memoryTest,
) ([]report.Row, error) {
	fmt.Fprintf(c.log, "%s: %s of %d\n", s.Name, w.requests[len(w.requests)-1].Op, w.n)
	increase, err := c.usageIncrease(ctx, s, w.requests)
	switch {
	case ctx.Err() != nil:
		return rows, ctx.Err()
	case err != nil:
		return append(rows, report.FailedRow(s.Name, w.server, w.n, err)), nil
	}
	rows = append(rows, row(s.Name, w.server, w.n, increase.server))
	if w.client != "" {
		rows = append(rows, row(s.Name, w.client, w.n, increase.client))
	}
	return rows, nil
}

// usage is the memory usage of both processes.
type usage struct{ server, client child.Reply }

// usageIncrease sends the requests to a new pair and returns by how much the usage of both processes has increased.
func (c comparison) usageIncrease(
	ctx context.Context, s systems.System, requests []child.Request,
) (w usage, err error) {
	pair, err := child.StartPair(ctx, c.log, s, 0)
	if err != nil {
		return w, err
	}
	defer func() { err = errors.Join(err, pair.End()) }()
	// The first connection allocates what is allocated once per process.
	for _, op := range []string{child.OpOpen, child.OpClose} {
		if _, err := pair.Client.Ask(child.Request{Op: op, Conns: 1}); err != nil {
			return w, err
		}
	}
	before, err := currentUsage(pair)
	if err != nil {
		return w, err
	}
	for _, r := range requests {
		if _, err := pair.Client.Ask(r); err != nil {
			return w, err
		}
		if r.Op == child.OpClose {
			if err := awaitEnded(ctx, pair, before.server.Goroutines); err != nil {
				return w, err
			}
		}
	}
	after, err := currentUsage(pair)
	if err != nil {
		return w, err
	}
	return usage{sub(after.server, before.server), sub(after.client, before.client)}, nil
}

// spareGoroutines is how many goroutines a server may keep for later use.
const spareGoroutines = 200

// awaitEnded waits until the server has noticed that its connections have ended: until it has about as many goroutines
// as before. It waits for ten seconds at most.
func awaitEnded(ctx context.Context, pair *child.Pair, before int) error {
	for range 100 {
		now, err := pair.Server.Ask(child.Request{Op: child.OpUsage})
		if err != nil || now.Goroutines <= before+spareGoroutines {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return nil
}

func currentUsage(pair *child.Pair) (w usage, err error) {
	if w.server, err = pair.Server.Ask(child.Request{Op: child.OpUsage, Collect: true}); err != nil {
		return w, err
	}
	w.client, err = pair.Client.Ask(child.Request{Op: child.OpUsage, Collect: true})
	return w, err
}

func sub(a, b child.Reply) child.Reply {
	return child.Reply{
		Heap: saturatingSub(a.Heap, b.Heap), Stack: saturatingSub(a.Stack, b.Stack), RSS: saturatingSub(a.RSS, b.RSS),
		Goroutines: max(0, a.Goroutines-b.Goroutines),
	}
}

// saturatingSub returns a - b, or 0 if b is larger: a garbage collection may reduce the usage.
func saturatingSub(a, b uint64) uint64 {
	if a < b {
		return 0
	}
	return a - b
}

func row(name, what string, n int, r child.Reply) report.Row {
	each := func(v uint64) float64 { return float64(v) / float64(n) }
	return report.Row{
		Name: name, Workload: what, N: n, Bytes: each(r.Heap + r.Stack),
		Heap: each(r.Heap), Stack: each(r.Stack), RSS: each(r.RSS),
		Goroutines: float64(r.Goroutines) / float64(n),
	}
}
