package replica

import (
	"container/list"
	"context"
	"sync"
)

// watchers are the loops that wait for changes of one copy. Its methods are called with the lock of the copy.
type watchers struct {
	all   map[*watcher]struct{}
	ended bool // the copy is stale
}

type watcher struct{ signal chan struct{} } // has room for one

func newWatcher() watcher { return watcher{make(chan struct{}, 1)} }

func (w *watcher) wake() {
	select {
	case w.signal <- struct{}{}:
	default: // It has a signal that it has not taken.
	}
}

func (ws *watchers) add(w *watcher) {
	if ws.all == nil {
		ws.all = map[*watcher]struct{}{}
	}
	ws.all[w] = struct{}{}
}

func (ws *watchers) wake() {
	for w := range ws.all {
		w.wake()
	}
}

func (ws *watchers) end() {
	ws.ended = true
	ws.wake()
}

// wait waits for the next signal, and reports false if ctx or the handle ended first.
func (w *watcher) wait(ctx context.Context, released <-chan struct{}) bool {
	select {
	case <-ctx.Done():
	case <-released:
	case <-w.signal:
		return ctx.Err() == nil
	}
	return false
}

// queue has the keys of a map whose change a loop has not seen, each once, in the order of their first change.
// Together with the keys that the loop knows that is at most twice as much as the map may have, however slow the loop
// is.
type queue[K comparable] struct {
	watcher
	order *list.List // of K
	at    map[K]*list.Element
	known map[K]struct{} // keys that the loop was told of
}

func newQueue[K comparable]() *queue[K] {
	return &queue[K]{watcher: newWatcher(), order: list.New(), at: map[K]*list.Element{}, known: map[K]struct{}{}}
}

// changed notes a change of a key.
func (q *queue[K]) changed(key K, exists bool) {
	_, known := q.known[key]
	e, waiting := q.at[key]
	switch {
	case !exists && !known: // It came and went.
		if waiting {
			q.order.Remove(e)
			delete(q.at, key)
		}
		return
	case !waiting:
		q.at[key] = q.order.PushBack(key)
	}
	q.wake()
}

// next takes out the oldest key.
func (q *queue[K]) next() (key K, ok bool) {
	e := q.order.Front()
	if e == nil {
		return key, false
	}
	key = q.order.Remove(e).(K)
	delete(q.at, key)
	return key, true
}

// released is closed once, by the release of a handle.
type released struct {
	once sync.Once
	c    chan struct{}
}
