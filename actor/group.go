package actor

import (
	"sync"
	"sync/atomic"
)

// group is a list of what is to happen when something ends. Nodes join and leave in constant time,
// and each is run at most once, in the order in which they joined. The zero value is ready for use.
type group struct {
	mu    sync.Mutex
	over  bool
	first *node
	last  *node
}

// node is a membership in a group, embedded in what is to be told. It is settled once: it is either run, or it leaves.
type node struct {
	target  interface{ ended() }
	group   *group // set by join, before the node is known to another goroutine, and not changed
	settled atomic.Bool

	// Guarded by group.mu.
	prev, next *node
	listed     bool
}

// join adds n, or reports false because the group has ended.
func (g *group) join(n *node) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over {
		return false
	}
	n.group, n.listed = g, true
	n.prev = g.last
	if g.last == nil {
		g.first = n
	} else {
		g.last.next = n
	}
	g.last = n
	return true
}

// remove takes n out of the list. The caller holds g.mu.
func (g *group) remove(n *node) {
	if n.prev == nil {
		g.first = n.next
	} else {
		n.prev.next = n.next
	}
	if n.next == nil {
		g.last = n.prev
	} else {
		n.next.prev = n.prev
	}
	n.prev, n.next, n.listed = nil, nil, false
}

// end runs every node, in order and outside of the lock, and lets nobody join any more. A node that ends its goroutine
// leaves those behind it to another one.
func (g *group) end() {
	over := false
	defer func() {
		if !over {
			go g.end()
		}
	}()
	for {
		g.mu.Lock()
		g.over = true
		n := g.first
		if n == nil {
			g.mu.Unlock()
			break
		}
		g.remove(n)
		g.mu.Unlock()
		n.run()
	}
	over = true
}

// run tells the target, unless the node is settled.
func (n *node) run() {
	if n.settled.CompareAndSwap(false, true) {
		n.target.ended()
	}
}

// leave settles the node without telling its target. It reports whether it was in time.
func (n *node) leave() bool {
	if !n.settled.CompareAndSwap(false, true) {
		return false
	}
	if g := n.group; g != nil {
		g.mu.Lock()
		if n.listed {
			g.remove(n)
		}
		g.mu.Unlock()
	}
	return true
}
