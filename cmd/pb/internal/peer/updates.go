package peer

import (
	"context"
	"sync"

	"github.com/perspectivebroker/pb/codec/jelly"
)

// Update is an update of a Cacheable: a call of a method of its copy.
type Update struct {
	Method string
	Args   []any
	Kw     *jelly.Dict
}

// maxQueue is how many updates may wait to be taken. Beyond it the connection is not read.
const maxQueue = 1024

// Updates are the updates of one Cacheable, in order.
type Updates struct {
	queue chan Update
	once  sync.Once
	ended chan struct{}
	quit  chan struct{} // closed by Stop
}

// Next returns the next update. After the connection's end it returns the updates that came before, then false.
func (u *Updates) Next(ctx context.Context) (Update, bool) {
	select {
	case x := <-u.queue:
		return x, true
	default:
	}
	select {
	case x := <-u.queue:
		return x, true
	case <-ctx.Done():
		return Update{}, false
	case <-u.ended:
	}
	select {
	case x := <-u.queue:
		return x, true
	default:
		return Update{}, false
	}
}

// Stop drops all further updates.
func (u *Updates) Stop() { u.once.Do(func() { close(u.quit) }) }

func (u *Updates) end() { close(u.ended) }

// Follow sets whether the updates of caches that arrive from now on are kept until they are taken.
func (c *Conn) Follow(follow bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.follow = follow
}

// received notes a cache that has arrived.
func (c *Conn) received(luid int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.caches == nil || c.caches[luid] != nil {
		return
	}
	var u *Updates
	if c.follow {
		u = newUpdates(maxQueue)
	}
	c.caches[luid] = u
}

func newUpdates(size int) *Updates {
	return &Updates{queue: make(chan Update, size), ended: make(chan struct{}), quit: make(chan struct{})}
}

// Updates returns the updates of a cache that has arrived since Follow was called. Call Stop when they are not wanted
// any more.
func (c *Conn) Updates(luid int64) *Updates {
	c.mu.Lock()
	defer c.mu.Unlock()
	if u := c.caches[luid]; u != nil {
		return u
	}
	u := newUpdates(0)
	u.end()
	return u
}

// update queues an update, and reports whether there is such a cache.
func (c *Conn) update(luid int64, method string, args, kw any) bool {
	c.mu.Lock()
	u, known := c.caches[luid]
	c.mu.Unlock()
	if u == nil {
		return known
	}
	positional, _ := args.(jelly.Tuple)
	keywords, _ := kw.(*jelly.Dict)
	select {
	case u.queue <- Update{method, positional, keywords}:
	case <-u.quit:
	case <-c.done:
	}
	return true
}
