package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/perspectivebroker/pb/bench/internal/child"
	"github.com/perspectivebroker/pb/bench/internal/report"
	"github.com/perspectivebroker/pb/bench/internal/systems"
)

// growthTest is a load that is measured with several sizes.
type growthTest struct {
	name  string
	sizes []int
	load  func(n int) child.Request
}

// growthCallers is the number of callers. With more connections there is one caller for each connection.
const growthCallers = 256

// growthPayloadCallers is the number of callers of growth-payload, small enough for the buffers of all systems.
const growthPayloadCallers = 16

// growthSystems are the systems that are measured by default.
var growthSystems = map[string]bool{"ours": true, "netrpc": true, "grpc": true}

var growthTests = []growthTest{
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

// measureGrowth measures the systems under every size of every growth test that they support.
func (c comparison) measureGrowth(ctx context.Context, list []systems.System) (rows []report.Row, err error) {
	if c.options.only == "" {
		list = slices.DeleteFunc(list, func(s systems.System) bool {
			return !growthSystems[s.Name] && !names(c.options.with)[s.Name]
		})
	}
	p := c.startAll(ctx, list)
	defer p.end(ctx)
	for _, g := range c.scale.growthTests {
		for _, n := range g.sizes {
			fmt.Fprintf(c.log, "%s %d\n", g.name, n)
			measured, err := c.measureSize(ctx, p, g, n)
			if rows = append(rows, measured...); err != nil {
				return rows, err
			}
		}
	}
	return rows, nil
}

// measureSize measures the systems under one size of a growth test.
func (c comparison) measureSize(
	ctx context.Context, p *pairs, g growthTest, n int,
) (rows []report.Row, err error) {
	request := g.load(n)
	all, err := p.measure(ctx, c.scale.schedule, request, func(s systems.System) bool {
		return !s.OneCaller && (request.Exports == 0 || s.Name == "ours") &&
			(s.MaxConns == 0 || request.Conns <= s.MaxConns)
	}, func(int) {})
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		row := s.row(workload{name: g.name, payload: request.Payload})
		row.N = n
		rows = append(rows, row)
	}
	return rows, nil
}
