package main

import (
	"slices"
	"sync"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/flavors"
)

// Limits of boards. Beyond them a board forgets what was said first.
const (
	maxItems      = 10_000
	maxBoardBytes = 4 << 20
	maxBoards     = 32 << 20 // bytes of all boards of a node
	itemBytes     = 64       // what an item takes besides its text
)

// boards counts the bytes of all boards of the node.
type boards struct {
	mu    sync.Mutex
	bytes int // guarded by mu
}

// take counts n bytes more, if there is room for them.
func (b *boards) take(n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bytes+n > maxBoards {
		return false
	}
	b.bytes += n
	return true
}

func (b *boards) give(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bytes -= n
}

// board is the list of what was said in a room. Its copies at users follow it.
type board struct {
	flavors.Cacheable
	all *boards

	// Only functions that run in the board's turn use these.
	items  []string
	bytes  int
	closed bool
}

// TypeToCopy is the class of a board.
func (*board) TypeToCopy() string { return "cluster.Board" }

// StateToCacheAndObserveFor returns the list. Later items come by observe_add.
func (b *board) StateToCacheAndObserveFor(any, *flavors.Observer) any { return slices.Clone(b.items) }

// add writes a text on the board. The Deferred completes when the observers have been sent it.
func (b *board) add(text string) *actor.Deferred {
	return flavors.Update(b, func(observers flavors.Observers) {
		if b.keep(text) {
			// A peer that cannot be told is not one any more.
			_ = observers.CallRemote("add", text)
		}
	})
}

// keep appends a text. It makes room for it if need be.
func (b *board) keep(text string) bool {
	n := len(text) + itemBytes
	if b.closed || n > maxBoardBytes {
		return false
	}
	for len(b.items) >= maxItems || b.bytes+n > maxBoardBytes || !b.all.take(n) {
		if len(b.items) == 0 {
			return false
		}
		b.drop(1)
	}
	b.items = append(b.items, text)
	b.bytes += n
	return true
}

func (b *board) drop(items int) {
	for _, text := range b.items[:items] {
		b.bytes -= len(text) + itemBytes
		b.all.give(len(text) + itemBytes)
	}
	b.items = slices.Delete(b.items, 0, items)
}

// discard ends the board with its room.
func (b *board) discard() {
	flavors.Update(b, func(flavors.Observers) {
		b.closed = true
		b.drop(len(b.items))
	})
}
