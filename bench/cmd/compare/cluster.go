package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/bench/internal/child"
	"github.com/perspectivebroker/pb/bench/internal/clusters"
	"github.com/perspectivebroker/pb/bench/internal/report"
	"github.com/perspectivebroker/pb/bench/internal/systems"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cluster"
	"github.com/perspectivebroker/pb/flavors"
)

// clusterScale is the size of the measurements of a cluster.
type clusterScale struct {
	kills int // nodes that are killed while a call is under way
	links int // idle links of one node
}

var (
	quickCluster = clusterScale{kills: 3, links: 8}
	fullCluster  = clusterScale{kills: 15, links: 48}
)

// clusterWorkloads are calls of one connection, and of many that share the link between two nodes.
var clusterWorkloads = []workload{
	{name: "cluster-serial", conns: 1, callers: 1},
	{name: "cluster-pipelined", conns: 1, callers: 256},
	{name: "cluster-multi", conns: 64, callers: 64 * 8},
}

// What else is measured of a cluster.
const (
	nodeKilled = "cluster-node-killed"
	idleLink   = "memory-idle-link"
)

// measureCluster measures calls through a gateway against direct ones, the failure of a call whose node is killed, and
// the memory of links.
func (c comparison) measureCluster(ctx context.Context, list []systems.System) (rows []report.Row, err error) {
	site, err := clusters.NewSite(ctx, c.log, c.childArgs()...)
	if err != nil {
		fmt.Fprintln(c.log, "compare: skipped:", err)
	} else {
		defer func() { err = errors.Join(err, site.End()) }()
	}
	wanted := names(c.options.workloads)
	isSelected := func(name string) bool { return len(wanted) == 0 || wanted[name] }
	if rows, err = c.measureRelayed(ctx, site, list, isSelected); err != nil || site == nil {
		return rows, err
	}
	if !slices.ContainsFunc(list, func(s systems.System) bool { return s.Name == systems.RelayedMTLS }) {
		return rows, nil
	}
	for _, dialing := range []bool{true, false} {
		if !isSelected(idleLink) {
			break
		}
		links, err := c.measureLinks(ctx, site, dialing)
		if err != nil {
			return rows, err
		}
		rows = append(rows, links)
	}
	if !isSelected(nodeKilled) {
		return rows, nil
	}
	// The nodes that are killed remain members for a while, so they come last.
	killed, err := c.measureKills(ctx, site)
	if err != nil {
		return rows, err
	}
	return append(rows, killed), nil
}

// measureRelayed measures the systems under all workloads of a cluster.
func (c comparison) measureRelayed(
	ctx context.Context, site *clusters.Site, list []systems.System, isSelected func(string) bool,
) ([]report.Row, error) {
	if !slices.ContainsFunc(clusterWorkloads, func(w workload) bool { return isSelected(w.name) }) {
		return nil, nil
	}
	if site == nil {
		list = slices.DeleteFunc(list, func(s systems.System) bool {
			return s.Name == systems.RelayedMTLS || s.Name == systems.Placed
		})
	}
	p := c.launchAll(ctx, list, func(ctx context.Context, s systems.System) (*child.Pair, error) {
		return c.startRelayed(ctx, site, s)
	})
	defer p.end(ctx)
	return c.measureWorkloads(ctx, p, clusterWorkloads, isSelected)
}

// startRelayed starts the processes of a system.
func (c comparison) startRelayed(ctx context.Context, site *clusters.Site, s systems.System) (*child.Pair, error) {
	switch s.Name {
	case systems.RelayedClear:
		return clusters.StartClear(ctx, c.log, s, c.childArgs()...)
	case systems.RelayedMTLS:
		return site.StartMTLS(ctx, s)
	case systems.Placed:
		return site.StartPlaced(ctx, s)
	}
	return child.StartPair(ctx, c.log, s, 0, c.childArgs()...)
}

// measureKills measures how long after the kill of its node a call fails.
func (c comparison) measureKills(ctx context.Context, site *clusters.Site) (result report.Row, err error) {
	gateway, addr, err := site.Gateway(ctx, "killing")
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, gateway.End()) }()
	rt, err := actor.NewRuntime()
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, rt.Close(context.WithoutCancel(ctx))) }()
	conn, err := broker.Dial(ctx, rt, addr)
	if err != nil {
		return result, err
	}
	var times []float64
	for i := range c.scale.cluster.kills {
		fmt.Fprintf(c.log, "\r%s, round %d of %d ", nodeKilled, i+1, c.scale.cluster.kills)
		took, err := killOwner(ctx, site, conn, fmt.Sprintf("killed-%d", i))
		if err != nil {
			return result, err
		}
		times = append(times, float64(took.Nanoseconds())/1e3)
	}
	fmt.Fprintln(c.log)
	return report.Row{
		Name: "ours", Workload: nodeKilled, N: len(times), P50: report.Median(times), Worst: slices.Max(times),
	}, nil
}

// killOwner starts a node, kills it while a call to its object is under way, and returns how long the caller waited
// for the error.
func killOwner(ctx context.Context, site *clusters.Site, conn *broker.Conn, name string) (time.Duration, error) {
	owner, err := site.Owner(ctx, name)
	if err != nil {
		return 0, err
	}
	ref, err := systems.ObjectOf(ctx, conn.Root(), name)
	if err != nil {
		return 0, errors.Join(err, owner.End())
	}
	call := ref.CallRemote("never")
	// The answer to a later call shows that the first one has arrived.
	if _, err := flavors.Call[int](ctx, ref, "add", 1, 2); err != nil {
		return 0, errors.Join(err, owner.End())
	}
	killed, err := owner.Kill()
	if err != nil {
		return 0, err
	}
	_, err = call.Await(ctx)
	if !errors.Is(err, cluster.NodeLost) {
		return 0, fmt.Errorf("the node %s was killed, and its call ended with %w", name, err)
	}
	return time.Since(killed), nil
}

// measureLinks measures the memory of the links of a node to many others: of those that it makes, or else of those that
// it accepts.
func (c comparison) measureLinks(
	ctx context.Context, site *clusters.Site, dialing bool,
) (result report.Row, err error) {
	n, name, what := c.scale.cluster.links, "0", idleLink
	if !dialing { // The node with the lesser name makes the link.
		name, what = "z", idleLink+"-accepted"
	}
	fmt.Fprintf(c.log, "%s of %d\n", what, n)
	gateway, _, err := site.Gateway(ctx, name)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, gateway.End()) }()
	// The first link allocates what is allocated once per process.
	first, err := site.Owner(ctx, "first-"+name)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, first.End()) }()
	before, err := usageWithLinks(gateway, 1)
	if err != nil {
		return result, err
	}
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("idle-%s-%d", name, i)
	}
	others, err := site.Owner(ctx, names...)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, others.End()) }()
	after, err := usageWithLinks(gateway, 1+n)
	return row("ours", what, n, sub(after, before)), err
}

func usageWithLinks(p *child.Process, n int) (child.Reply, error) {
	if _, err := p.Ask(child.Request{Op: child.OpLinks, Count: n}); err != nil {
		return child.Reply{}, err
	}
	return p.Ask(child.Request{Op: child.OpUsage, Collect: true})
}
