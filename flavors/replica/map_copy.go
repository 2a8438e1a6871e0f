package replica

import (
	"context"
	"iter"
	"sync"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// MapCopy is the local copy of a peer's map. [RegisterMap] registers it, and [MapOf] makes the handle for reading it
// of the *flavors.Cached[MapCopy[K, V]] that a method receives.
type MapCopy[K comparable, V any] struct {
	flavors.RemoteCache
	limits limits
	stale  sync.Once // the end of the copy is awaited
	weight int       // of the first state

	mu sync.Mutex
	// Guarded by mu.
	items    map[K]V
	costs    map[K]int // bytes of what brought the entries
	bytes    int       // their sum
	queues   map[*queue[K]]struct{}
	watchers watchers
}

// RegisterMap registers a class of maps for a connection, see broker.WithRegistry. The keys and values of received
// maps are converted to K and V as arguments of methods are.
func RegisterMap[K comparable, V any](r *jelly.Registry, class string, opts ...Option) error {
	l := limitsOf(opts)
	return flavors.RegisterCacheFactory(r, class, func() *MapCopy[K, V] { return &MapCopy[K, V]{limits: l} })
}

// SetStateWeight sets what the first state counts for. Package jelly calls it.
func (c *MapCopy[K, V]) SetStateWeight(bytes int) { c.weight = bytes }

// SetCopyableState sets the first state. Package jelly calls it.
func (c *MapCopy[K, V]) SetCopyableState(state any) error {
	if err := c.limits.checkBytes(c.weight); err != nil {
		return err
	}
	var s struct {
		Items map[K]V `pb:"items"`
	}
	if err := jelly.Assign(&s, state); err != nil {
		return err
	}
	return c.replace(s.Items, c.weight)
}

// ObserveSet sets the value of a key. The peer calls it.
func (c *MapCopy[K, V]) ObserveSet(inv *flavors.Invocation, key K, value V) error {
	if err := checkKey(key); err != nil {
		return err
	}
	cost := costOf(inv)
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.items[key]; !ok {
		if err := c.limits.checkEntries(len(c.items) + 1); err != nil {
			return err
		}
	}
	sum := c.bytes - c.costs[key] + cost
	if err := c.limits.checkBytes(sum); err != nil {
		return err
	}
	c.bytes = sum
	c.costs[key] = cost
	c.items[key] = value
	c.changed(key, true)
	return nil
}

// ObserveDelete removes a key. The peer calls it.
func (c *MapCopy[K, V]) ObserveDelete(key K) error {
	if err := checkKey(key); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.items[key]; !ok {
		return nil
	}
	c.bytes -= c.costs[key]
	delete(c.costs, key)
	delete(c.items, key)
	c.changed(key, false)
	return nil
}

// ObserveReplace replaces all entries. The peer calls it.
func (c *MapCopy[K, V]) ObserveReplace(inv *flavors.Invocation, items map[K]V) error {
	return c.replace(items, costOf(inv))
}

func (c *MapCopy[K, V]) replace(items map[K]V, bytes int) error {
	if err := c.limits.checkEntries(len(items)); err != nil {
		return err
	}
	if err := c.limits.checkBytes(bytes); err != nil {
		return err
	}
	costs := make(map[K]int, len(items))
	share := bytes / max(len(items), 1)
	for key := range items {
		if err := checkKey(key); err != nil {
			return err
		}
		costs[key] = share
	}
	if items == nil {
		items = map[K]V{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.items
	c.items, c.costs, c.bytes = items, costs, share*len(items)
	for key := range before {
		if _, ok := items[key]; !ok {
			c.changed(key, false)
		}
	}
	for key := range items {
		c.changed(key, true)
	}
	return nil
}

// checkKey refuses keys that a map cannot look up.
func checkKey[K comparable](key K) error {
	if !hashable(key) {
		return flavors.TypeError.Errorf("a %s cannot be the key of a map", jelly.TypeName(key))
	}
	if key != key { // NaN
		return flavors.ValueError.Wrap(errNaNKey)
	}
	return nil
}

// changed tells the loops. The caller holds mu.
func (c *MapCopy[K, V]) changed(key K, exists bool) {
	for q := range c.queues {
		q.changed(key, exists)
	}
}

func (c *MapCopy[K, V]) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watchers.end()
}

// watch returns a queue that has all present keys.
func (c *MapCopy[K, V]) watch() *queue[K] {
	q := newQueue[K]()
	c.mu.Lock()
	defer c.mu.Unlock()
	for key := range c.items {
		q.changed(key, true)
	}
	if c.queues == nil {
		c.queues = map[*queue[K]]struct{}{}
	}
	c.queues[q] = struct{}{}
	c.watchers.add(&q.watcher)
	return q
}

func (c *MapCopy[K, V]) unwatch(q *queue[K]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.queues, q)
	delete(c.watchers.all, &q.watcher)
}

// next takes the next change out of a queue. ended means that there will be no more.
func (c *MapCopy[K, V]) next(q *queue[K]) (change Change[K, V], ok, ended bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key, ok := q.next()
	if !ok {
		return change, false, c.watchers.ended
	}
	value, exists := c.items[key]
	if exists {
		q.known[key] = struct{}{}
	} else {
		delete(q.known, key)
	}
	return Change[K, V]{Key: key, Value: value, Deleted: !exists}, true, false
}

// changes yields the changes until ctx, the handle or the copy ends.
func (c *MapCopy[K, V]) changes(ctx context.Context, released <-chan struct{}) iter.Seq[Change[K, V]] {
	return func(yield func(Change[K, V]) bool) {
		q := c.watch()
		defer c.unwatch(q)
		for ctx.Err() == nil {
			change, ok, ended := c.next(q)
			switch {
			case ok:
				if !yield(change) {
					return
				}
			case ended, !q.wait(ctx, released):
				return
			}
		}
	}
}
