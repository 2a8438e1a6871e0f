package child

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/perspectivebroker/pb/bench/internal/load"
	"github.com/perspectivebroker/pb/bench/internal/systems"
)

// watch has every connection watch the server's object. The one caller then changes it, and a call of its is over when all have seen
// the change.
func (c *client) watch(ctx context.Context) error {
	var left atomic.Int64
	everybody := make(chan struct{}, 1)
	seen := func(int) {
		if left.Add(-1) == 0 {
			everybody <- struct{}{}
		}
	}
	watchers, err := c.watchers()
	if err != nil {
		return err
	}
	var all sync.WaitGroup
	faults := make(chan error, len(watchers))
	for _, w := range watchers {
		all.Go(func() {
			if err := w.Watch(ctx, seen); err != nil {
				faults <- err
			}
		})
	}
	all.Wait()
	close(faults)
	if err := <-faults; err != nil {
		return err
	}
	c.callers = []load.Call{func(ctx context.Context, n int) error {
		left.Store(int64(len(watchers)))
		if err := watchers[0].Change(ctx, n); err != nil {
			return err
		}
		<-everybody
		return nil
	}}
	return nil
}

func (c *client) watchers() ([]systems.Watcher, error) {
	list := make([]systems.Watcher, len(c.conns))
	for i, conn := range c.conns {
		w, ok := conn.(systems.Watcher)
		if !ok {
			return nil, fmt.Errorf("%s has nothing to watch", c.system.Name)
		}
		list[i] = w
	}
	return list, nil
}
