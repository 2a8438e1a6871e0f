package child

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/perspectivebroker/pb/bench/internal/load"
	"github.com/perspectivebroker/pb/bench/internal/systems"
)

// client is what a client's process holds between requests.
type client struct {
	system  systems.System
	addr    string
	conns   []load.Client
	callers []load.Call
	handles systems.Handles
	copies  any          // of the server's objects
	letGo   func() error // has the calls answered that are held
}

func (c *client) do(ctx context.Context, r Request) (Reply, error) {
	switch r.Op {
	case OpOpen:
		return Reply{}, c.open(ctx, r)
	case OpRun:
		return c.run(ctx, r)
	case OpClose:
		return Reply{}, c.close()
	case OpTour:
		return Reply{}, c.tour(ctx)
	case OpHold:
		return Reply{}, c.hold(ctx, r.Count)
	case OpRelease:
		return Reply{}, c.release()
	case OpUsage:
		return usage(r.Collect), nil
	}
	return Reply{}, fmt.Errorf("a client does not know %q", r.Op)
}

// dialers is how many connections are being made at a time.
const dialers = 16

func (c *client) open(ctx context.Context, r Request) error {
	if len(c.conns) > 0 {
		return errors.New("there are connections already: close them first")
	}
	if err := c.dial(ctx, r.Conns); err != nil {
		return errors.Join(err, c.close())
	}
	switch {
	case r.Exports > 0:
		return c.export(ctx, r)
	case r.Caches > 0:
		return c.cache(ctx, r.Caches)
	case r.Watch:
		return c.watch(ctx)
	}
	for i := range r.Callers {
		conn := c.conns[i%len(c.conns)]
		if r.Payload > 0 {
			c.callers = append(c.callers, load.EchoCall(conn, r.Payload))
		} else {
			c.callers = append(c.callers, load.AddCall(conn))
		}
	}
	return nil
}

func (c *client) dial(ctx context.Context, n int) error {
	var (
		all   sync.WaitGroup
		mu    sync.Mutex
		fault error
		turns = make(chan struct{}, dialers)
	)
	for range n {
		turns <- struct{}{}
		all.Go(func() {
			defer func() { <-turns }()
			conn, err := c.system.Dial(ctx, c.addr)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				fault = err
				return
			}
			c.conns = append(c.conns, conn)
		})
	}
	all.Wait()
	return fault
}

func (c *client) export(ctx context.Context, r Request) error {
	exporter, ok := c.conns[0].(systems.Exporter)
	if !ok {
		return fmt.Errorf("%s exports no objects", c.system.Name)
	}
	var err error
	if c.handles, err = exporter.Export(ctx, r.Exports); err != nil {
		return err
	}
	for i := range r.Callers {
		// Each caller walks over all objects, from a place of its own.
		first := i * r.Exports / r.Callers
		c.callers = append(c.callers, func(ctx context.Context, n int) error {
			_, err := c.handles.Add(ctx, (first+n)%c.handles.Len(), n&0xff, 2)
			return err
		})
	}
	return nil
}

func (c *client) cache(ctx context.Context, n int) error {
	cacher, ok := c.conns[0].(systems.Cacher)
	if !ok {
		return fmt.Errorf("%s has no caches", c.system.Name)
	}
	var err error
	c.copies, err = cacher.Cache(ctx, n)
	return err
}

// tour calls every exported object once, several at a time.
func (c *client) tour(ctx context.Context) error {
	if c.handles == nil {
		return errors.New("nothing has been exported")
	}
	var (
		all    sync.WaitGroup
		faults = make([]error, dialers)
	)
	for k := range dialers {
		all.Go(func() {
			for i := k; i < c.handles.Len() && faults[k] == nil; i += dialers {
				_, faults[k] = c.handles.Add(ctx, i, 1, 2)
			}
		})
	}
	all.Wait()
	return errors.Join(faults...)
}

func (c *client) run(ctx context.Context, r Request) (Reply, error) {
	before := cpu()
	result, err := load.Run(ctx, c.callers, time.Duration(r.Millis)*time.Millisecond)
	return Reply{
		CPU:   cpu() - before,
		Calls: result.Calls, Seconds: result.Elapsed.Seconds(),
		P50: micros(result.Latencies.Quantile(0.5)), P99: micros(result.Latencies.Quantile(0.99)),
	}, err
}

func micros(d time.Duration) float64 { return float64(d) / 1e3 }

func (c *client) close() error {
	var err error
	for _, conn := range c.conns {
		err = errors.Join(err, conn.Close())
	}
	c.conns, c.callers, c.handles, c.copies = nil, nil, nil, nil
	return err
}

func (c *client) hold(ctx context.Context, n int) error {
	if len(c.conns) == 0 {
		return errors.New("there is no connection yet")
	}
	holder, ok := c.conns[0].(systems.Holder)
	if !ok {
		return fmt.Errorf("%s leaves no calls unanswered", c.system.Name)
	}
	var err error
	c.letGo, err = holder.Hold(ctx, n)
	return err
}

func (c *client) release() error {
	if c.letGo == nil {
		return nil
	}
	defer func() { c.letGo = nil }()
	return c.letGo()
}
