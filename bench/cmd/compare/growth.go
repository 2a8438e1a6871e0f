package main

import (
	"context"
	"fmt"
	"os"

	"github.com/perspectivebroker/pb/bench/internal/child"
	"github.com/perspectivebroker/pb/bench/internal/report"
)

// growing is one thing that grows.
type growing struct {
	name  string
	sizes []int
	load  func(n int) child.Request
}

// growthCallers is how many callers there are, or more where there are more connections: each connection has at least one.
const growthCallers = 256

// growthPayloadCallers is few enough for large payloads to be within everybody's buffers.
const growthPayloadCallers = 16

var growths = []growing{
	{"growth-connections", []int{1, 10, 100, 1_000, 10_000}, func(n int) child.Request {
		return child.Request{Op: child.OpOpen, Conns: n, Callers: max(n, growthCallers)}
	}},
	{"growth-exports", []int{1, 10, 100, 1_000, 10_000, 100_000}, func(n int) child.Request {
		return child.Request{Op: child.OpOpen, Conns: 1, Exports: n, Callers: growthCallers}
	}},
	{"growth-payload", []int{16, 256, 4 << 10, 64 << 10, 512 << 10}, func(n int) child.Request {
		return child.Request{Op: child.OpOpen, Conns: 1, Callers: growthPayloadCallers, Payload: n}
	}},
}

// growth measures ours, and others where they can follow, as one thing after the other grows.
func growth(ctx context.Context, o options) ([]report.Row, error) {
	if o.only == "" {
		o.only = "ours,netrpc,grpc"
	}
	list, err := chosen(o)
	if err != nil {
		return nil, err
	}
	pairs, end := startAll(ctx, o, list)
	defer end()
	var rows []report.Row
	for _, g := range growths {
		for _, n := range g.sizes {
			fmt.Fprintf(os.Stderr, "%s %d\n", g.name, n)
			measured, err := grown(ctx, pairs, g, n, paceOf(o))
			rows = append(rows, measured...)
			if err != nil {
				return rows, err
			}
		}
	}
	return rows, nil
}

func grown(ctx context.Context, pairs []*child.Pair, g growing, n int, p pace) ([]report.Row, error) {
	request := g.load(n)
	var all []*series
	for _, pair := range pairs {
		if pair.System.OneCaller || request.Exports > 0 && pair.System.Name != "ours" ||
			pair.System.MostConns > 0 && request.Conns > pair.System.MostConns {
			continue
		}
		if _, err := pair.Client.Ask(request); err != nil {
			return nil, err
		}
		all = append(all, &series{pair: pair})
	}
	for range p.rounds {
		for _, s := range all {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if err := s.round(p); err != nil {
				return nil, err
			}
		}
	}
	var rows []report.Row
	for _, s := range all {
		if _, err := s.pair.Client.Ask(child.Request{Op: child.OpClose}); err != nil {
			return rows, err
		}
		row := s.row(workload{name: g.name, payload: request.Payload})
		row.N = n
		rows = append(rows, row)
	}
	return rows, nil
}
