package bench

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// gauge is a number that many connections follow.
type gauge struct {
	flavors.Cacheable
	n int
}

// TypeToCopy returns the class name.
func (*gauge) TypeToCopy() string { return "bench.Gauge" }

// StateToCacheAndObserveFor returns the first number.
func (g *gauge) StateToCacheAndObserveFor(any, *flavors.Observer) any { return g.n }

// gaugeCopy is a client's copy.
type gaugeCopy struct {
	flavors.RemoteCache
	n    int
	seen func()
}

// SetCopyableState sets the first number.
func (c *gaugeCopy) SetCopyableState(state any) error { return jelly.Assign(&c.n, state) }

// PublishMethods publishes change.
func (*gaugeCopy) PublishMethods(flavors.Prefix) flavors.MethodSet {
	return flavors.Methods(flavors.Method1("change", func(c *gaugeCopy, n int) (any, error) {
		c.n = n
		c.seen()
		return nil, nil
	}))
}

// gauged publishes a gauge.
type gauged struct {
	flavors.Referenceable
	gauge gauge
}

// RemoteWatch returns the gauge.
func (g *gauged) RemoteWatch() *gauge { return &g.gauge }

// BenchmarkUpdates measures one change of a Cacheable that 200 connections follow, with the copies. The result is for
// one change; divide it by the number of connections.
func BenchmarkUpdates(b *testing.B) {
	const conns = 200
	server, client := newRuntime(b), newRuntime(b)
	root := &gauged{}
	ln, err := broker.Listen(server, "pb://127.0.0.1:0", root)
	if err != nil {
		b.Fatal(err)
	}
	var left atomic.Int64
	all := make(chan struct{})
	seen := func() {
		if left.Add(-1) == 0 {
			all <- struct{}{}
		}
	}
	registry := jelly.NewRegistry()
	if err := flavors.RegisterCache[gaugeCopy](registry, "bench.Gauge"); err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	copies := make([]*flavors.Cached[gaugeCopy], conns) // Held, or they would be collected.
	for i := range copies {
		conn, err := broker.Dial(ctx, client, ln.URL(), broker.WithRegistry(registry))
		if err != nil {
			b.Fatal(err)
		}
		if copies[i], err = flavors.Call[*flavors.Cached[gaugeCopy]](ctx, conn.Root(), "watch"); err != nil {
			b.Fatal(err)
		}
		if err := copies[i].View(func(c *gaugeCopy) { c.seen = seen }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	before := cpuTime(b)
	for i := range b.N {
		left.Store(conns)
		flavors.Update(&root.gauge, func(observers flavors.Observers) {
			root.gauge.n = i
			if err := observers.CallRemote("change", i); err != nil {
				b.Error(err)
			}
		})
		<-all
	}
	reportCPU(b, before)
	for _, c := range copies {
		c.Release()
	}
}
