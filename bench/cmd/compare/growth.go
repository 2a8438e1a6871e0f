package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/perspectivebroker/pb/bench/internal/child"
	"github.com/perspectivebroker/pb/bench/internal/report"
	"github.com/perspectivebroker/pb/bench/internal/systems"
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

// growers are the systems that are measured unless others are asked for.
var growers = map[string]bool{"ours": true, "netrpc": true, "grpc": true}

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

// growAll measures ours, and others where they can follow, as one thing after the other grows.
func (c comparison) growAll(ctx context.Context, list []systems.System) (rows []report.Row, err error) {
	if c.options.only == "" {
		list = slices.DeleteFunc(list, func(s systems.System) bool { return !growers[s.Name] && !names(c.options.with)[s.Name] })
	}
	pairs, end := c.startAll(ctx, list)
	defer end()
	for _, g := range c.scale.growths {
		for _, n := range g.sizes {
			fmt.Fprintf(c.log, "%s %d\n", g.name, n)
			measured, err := c.grow(ctx, pairs, g, n)
			rows = append(rows, measured...)
			if err != nil {
				return rows, err
			}
		}
	}
	return rows, nil
}

func (c comparison) grow(ctx context.Context, pairs []*child.Pair, g growing, n int) ([]report.Row, error) {
	request := g.load(n)
	var all []*series
	for _, pair := range pairs {
		if pair.System.OneCaller || request.Exports > 0 && pair.System.Name != "ours" ||
			pair.System.MaxConns > 0 && request.Conns > pair.System.MaxConns {
			continue
		}
		if _, err := pair.Client.Ask(request); err != nil {
			return nil, err
		}
		all = append(all, &series{pair: pair})
	}
	for range c.scale.pace.rounds {
		for _, s := range all {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if err := s.round(c.scale.pace); err != nil {
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
