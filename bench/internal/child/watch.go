package child

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/perspectivebroker/pb/bench/internal/load"
	"github.com/perspectivebroker/pb/bench/internal/systems"
)

// watch makes every connection watch the server's object and adds one caller. A call of it changes the object and
// returns when all connections have seen the change.
func (c *client) watch(ctx context.Context) error {
	var remaining atomic.Int64
	allSeen := make(chan struct{}, 1)
	seen := func(int) {
		if remaining.Add(-1) == 0 {
			allSeen <- struct{}{}
		}
	}
	watchers, err := c.watchers()
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	errs := make(chan error, len(watchers))
	for _, w := range watchers {
		wg.Go(func() {
			if err := w.Watch(ctx, seen); err != nil {
				errs <- err
			}
		})
	}
	wg.Wait()
	close(errs)
	if err := <-errs; err != nil {
		return err
	}
	c.callers = []load.Call{func(ctx context.Context, n int) error {
		remaining.Store(int64(len(watchers)))
		if err := watchers[0].Change(ctx, n); err != nil {
			return err
		}
		<-allSeen
		return nil
	}}
	return nil
}

func (c *client) watchers() ([]systems.Watcher, error) {
	list := make([]systems.Watcher, len(c.conns))
	for i, conn := range c.conns {
		w, ok := conn.(systems.Watcher)
		if !ok {
			return nil, fmt.Errorf("%s cannot watch objects", c.system.Name)
		}
		list[i] = w
	}
	return list, nil
}
