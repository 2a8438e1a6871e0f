package systems

import (
	"context"
	"fmt"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// boardClass is the name under which the board travels.
const boardClass = "bench.Board"

// board is the original that many watch: a number.
type board struct {
	flavors.Cacheable
	n int
}

// TypeToCopy names the class.
func (*board) TypeToCopy() string { return boardClass }

// StateToCacheAndObserveFor is what a new observer begins with.
func (b *board) StateToCacheAndObserveFor(any, *flavors.Observer) any { return b.n }

// boardCopy is what a client has of it.
type boardCopy struct {
	flavors.RemoteCache
	n    int
	seen func(n int)
}

// SetCopyableState takes the number to begin with.
func (c *boardCopy) SetCopyableState(state any) error { return jelly.Assign(&c.n, state) }

// ObserveChange takes a new number.
func (c *boardCopy) ObserveChange(n int) {
	c.n = n
	if c.seen != nil {
		c.seen(n)
	}
}

// RemoteWatch gives the board to whoever wants to watch it.
func (r *typedRoot) RemoteWatch() *board { return &r.board }

// RemoteChange changes the board, and so tells all who watch it.
func (r *typedRoot) RemoteChange(n int) error {
	flavors.Update(&r.board, func(observers flavors.Observers) {
		r.board.n = n
		// What cannot be sent ends the connection of an observer, which its client notices.
		_ = observers.CallRemote("change", n)
	})
	return nil
}

// RemoteBoards gives n boards of the caller's own.
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

// knowsBoards lets boards in.
func knowsBoards() (broker.Option, error) {
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
