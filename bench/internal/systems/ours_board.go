package systems

import (
	"context"
	"fmt"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// boardClass is the class name of a board on the wire.
const boardClass = "bench.Board"

// board is a number that many clients watch.
type board struct {
	flavors.Cacheable
	n int
}

// TypeToCopy returns the class name.
func (*board) TypeToCopy() string { return boardClass }

// StateToCacheAndObserveFor returns the initial state of a new observer.
func (b *board) StateToCacheAndObserveFor(any, *flavors.Observer) any { return b.n }

// boardCopy is a client's copy of a board.
type boardCopy struct {
	flavors.RemoteCache
	n    int
	seen func(n int)
}

// SetCopyableState sets the initial number.
func (c *boardCopy) SetCopyableState(state any) error { return jelly.Assign(&c.n, state) }

// PublishMethods publishes change, typed like the methods of the root.
func (*boardCopy) PublishMethods(flavors.Prefix) flavors.MethodSet {
	return flavors.Methods(flavors.Method1("change", (*boardCopy).change))
}

// change sets a new number.
func (c *boardCopy) change(n int) (any, error) {
	c.n = n
	if c.seen != nil {
		c.seen(n)
	}
	return nil, nil
}

// RemoteWatch returns the board that all clients share.
func (r *typedRoot) RemoteWatch() *board { return &r.board }

// RemoteChange changes the shared board and notifies all observers.
func (r *typedRoot) RemoteChange(n int) error {
	flavors.Update(&r.board, func(observers flavors.Observers) {
		r.board.n = n
		// A failed update closes the observer's connection, which its client notices.
		_ = observers.CallRemote("change", n)
	})
	return nil
}

// RemoteBoards returns n new boards.
func (*typedRoot) RemoteBoards(n int) []any {
	boards := make([]any, n)
	for i := range boards {
		boards[i] = &board{}
	}
	return boards
}

// Cache implements Cacher.
func (c *typedClient) Cache(ctx context.Context, n int) (any, error) {
	kept := make([]any, 0, n)
	for len(kept) < n {
		v, err := c.root.CallRemote("boards", min(exportBatch, n-len(kept))).Await(ctx)
		if err != nil {
			return nil, err
		}
		list, ok := v.([]any)
		if !ok {
			return nil, fmt.Errorf("boards answered %T", v)
		}
		kept = append(kept, list...)
	}
	return kept, nil
}

// boardRegistry returns an option that registers the class of the boards.
func boardRegistry() (broker.Option, error) {
	r := jelly.NewRegistry()
	if err := flavors.RegisterCache[boardCopy](r, boardClass); err != nil {
		return nil, err
	}
	return broker.WithRegistry(r), nil
}

// Watch implements Watcher.
func (c *typedClient) Watch(ctx context.Context, seen func(n int)) error {
	v, err := c.root.CallRemote("watch").Await(ctx)
	if err != nil {
		return err
	}
	cached, ok := v.(*flavors.Cached[boardCopy])
	if !ok {
		return fmt.Errorf("watch answered %T", v)
	}
	c.board = cached
	return cached.View(func(b *boardCopy) { b.seen = seen })
}

// Change implements Watcher.
func (c *typedClient) Change(ctx context.Context, n int) error {
	_, err := c.root.CallRemote("change", n).Await(ctx)
	return err
}
