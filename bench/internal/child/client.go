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

// client is the state of a client process.
type client struct {
	system  systems.System
	addr    string
	conns   []load.Client
	callers []load.Call
	handles systems.Handles
	copies  any          // of the server's objects; held to keep them alive
	release func() error // makes the server answer the held calls
}

func (c *client) do(ctx context.Context, r Request) (Reply, error) {
	switch r.Op {
	case OpOpen:
		return Reply{}, c.open(ctx, r)
	case OpRun:
		return c.run(ctx, r)
	case OpClose:
		return Reply{}, c.close()
	case OpCallAll:
		return Reply{}, c.callAll(ctx)
	case OpHold:
		return Reply{}, c.hold(ctx, r.Count)
	case OpRelease:
		return Reply{}, c.releaseHeld()
	case OpUsage:
		return Usage(r.Collect), nil
	}
	return Reply{}, fmt.Errorf("unknown client operation %q", r.Op)
}

// concurrency is the maximum number of concurrent dials, and of concurrent calls of OpCallAll.
const concurrency = 16

func (c *client) open(ctx context.Context, r Request) error {
	if len(c.conns) > 0 {
		return errors.New("already connected: close the connections first")
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
		switch {
		case r.Payload > 0:
			c.callers = append(c.callers, load.EchoCall(conn, r.Payload))
		case r.Structs:
			confirmer, ok := conn.(load.Confirmer)
			if !ok {
				return errors.Join(fmt.Errorf("%s cannot send structs", c.system.Name), c.close())
			}
			c.callers = append(c.callers, load.ConfirmCall(confirmer))
		default:
			c.callers = append(c.callers, load.AddCall(conn))
		}
	}
	return nil
}

func (c *client) dial(ctx context.Context, n int) error {
	var (
		wg      sync.WaitGroup
		mu      sync.Mutex
		lastErr error
		slots   = make(chan struct{}, concurrency)
	)
	for range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			conn, err := c.system.Dial(ctx, c.addr)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				lastErr = err
				return
			}
			c.conns = append(c.conns, conn)
		})
	}
	wg.Wait()
	return lastErr
}

func (c *client) export(ctx context.Context, r Request) error {
	exporter, ok := c.conns[0].(systems.Exporter)
	if !ok {
		return fmt.Errorf("%s cannot export objects", c.system.Name)
	}
	var err error
	if c.handles, err = exporter.Export(ctx, r.Exports); err != nil {
		return err
	}
	for i := range r.Callers {
		// Each caller calls all objects in turn, starting at a different one.
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
		return fmt.Errorf("%s cannot cache objects", c.system.Name)
	}
	var err error
	c.copies, err = cacher.Cache(ctx, n)
	return err
}

// callAll calls every exported object once.
func (c *client) callAll(ctx context.Context) error {
	if c.handles == nil {
		return errors.New("no objects have been exported")
	}
	var (
		wg   sync.WaitGroup
		errs = make([]error, concurrency)
	)
	for k := range concurrency {
		wg.Go(func() {
			for i := k; i < c.handles.Len() && errs[k] == nil; i += concurrency {
				_, errs[k] = c.handles.Add(ctx, i, 1, 2)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (c *client) run(ctx context.Context, r Request) (Reply, error) {
	before := CPU()
	result, err := load.Run(ctx, c.callers, time.Duration(r.Millis)*time.Millisecond)
	return Reply{
		CPU:   CPU() - before,
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
		return errors.New("not connected")
	}
	holder, ok := c.conns[0].(systems.Holder)
	if !ok {
		return fmt.Errorf("%s cannot hold calls", c.system.Name)
	}
	var err error
	c.release, err = holder.Hold(ctx, n)
	return err
}

func (c *client) releaseHeld() error {
	if c.release == nil {
		return nil
	}
	defer func() { c.release = nil }()
	return c.release()
}
