package actor

import (
	"sync"
	"sync/atomic"

	"github.com/perspectivebroker/pb/internal/usercode"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// localHost is the address of PIDs in a system without remoting.
const localHost = "nonhost"

// watcher is a process that is notified when actors stop and then runs functions. One watcher serves a whole actor
// system. A watched actor costs an entry, each function a smaller one, and there is no goroutine.
//
// It never sends Unwatch: an entry without nodes stays until its actor has stopped. An Unwatch could overtake a Watch
// from another goroutine, and the actor would no longer be watched.
type watcher struct {
	system *protoactor.ActorSystem
	id     string

	mu      sync.Mutex
	watched map[address]*group
}

// address identifies an actor. host is empty for actors of the watcher's own system.
type address struct{ host, id string }

func newWatcher(system *protoactor.ActorSystem, id string) *watcher {
	return &watcher{system: system, id: id, watched: make(map[address]*group)}
}

// WhenStopped runs f when the actor at pid has stopped, or at once if it does not exist. A restart is not a stop. f
// runs exactly once unless cancel comes first. It runs in the goroutine in which the actor stopped and must not block.
// cancel reports whether it came first.
func (rt *Runtime) WhenStopped(pid *protoactor.PID, f func()) (cancel func() bool) {
	if f == nil {
		return func() bool { return false }
	}
	n := &funcNode{rt: rt, f: f}
	n.target = n
	if rt.Check() != nil {
		n.run()
		return n.leave
	}
	rt.watcher.add(pid, &n.node)
	return n.leave
}

// funcNode is a node that calls a function.
type funcNode struct {
	node
	rt *Runtime
	f  func()
}

// ended calls the function. A panic of it must not end the turn of the actor that has just stopped.
func (n *funcNode) ended() {
	if p := usercode.Do(n.f); p != nil {
		n.rt.logFunction("a WhenStopped function panicked", p)
	}
}

// logFunction logs the panic of a function that the application registered.
func (rt *Runtime) logFunction(what string, p *usercode.Panic) {
	if rt == nil {
		return
	}
	usercode.Log(func() {
		rt.logger.Error().Str("panic", usercode.PanicText(p.Value)).Bytes("stack", p.Stack).Msg(what)
	})
}

// add runs n when pid has stopped.
func (w *watcher) add(pid *protoactor.PID, n *node) {
	key, exists := w.locate(pid)
	if !exists {
		n.run()
		return
	}
	w.mu.Lock()
	g, known := w.watched[key]
	if !known {
		g = new(group)
		w.watched[key] = g
	}
	g.join(n) // cannot fail: a group in the map has not ended
	w.mu.Unlock()
	if !known {
		// Without the lock, because the answer may come before this returns.
		process, _ := w.system.ProcessRegistry.Get(pid)
		process.SendSystemMessage(pid, &protoactor.Watch{Watcher: w.system.NewLocalPID(w.id)})
	}
}

// locate returns the key of an actor and, for local actors, whether it exists. It produces no dead letter.
func (w *watcher) locate(pid *protoactor.PID) (key address, exists bool) {
	if pid == nil {
		return address{}, false
	}
	if pid.Address != localHost && pid.Address != w.system.Address() {
		return address{pid.Address, pid.Id}, true
	}
	_, exists = w.system.ProcessRegistry.GetLocal(pid.Id)
	return address{"", pid.Id}, exists
}

// SendSystemMessage handles Terminated.
func (w *watcher) SendSystemMessage(_ *protoactor.PID, message any) {
	ended, ok := message.(*protoactor.Terminated)
	if !ok {
		return
	}
	key, _ := w.locate(ended.Who)
	w.mu.Lock()
	g := w.watched[key]
	delete(w.watched, key)
	w.mu.Unlock()
	if g != nil {
		g.end()
	}
}

// SendUserMessage ignores the message.
func (w *watcher) SendUserMessage(*protoactor.PID, any) {}

// Stop does nothing: the watcher lives as long as the system.
func (w *watcher) Stop(*protoactor.PID) {}

// group is a list of nodes that run when something ends. Nodes join and leave in constant time. Each runs at most once,
// in the order in which they joined. The zero value is ready for use.
type group struct {
	mu    sync.Mutex
	over  bool
	first *node
	last  *node
}

// node is a membership in a group, embedded in what is to be notified. It is settled once: it either runs or leaves.
type node struct {
	target  interface{ ended() }
	group   *group // set by join before other goroutines see the node; then constant
	settled atomic.Bool

	// Guarded by group.mu.
	prev, next *node
	listed     bool
}

// join adds n. It returns false if the group has ended.
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

// remove unlinks n. The caller holds g.mu.
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

// end runs every node in order, without holding the lock, and rejects later ones. If a node calls runtime.Goexit,
// another goroutine runs the rest.
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

// run notifies the target unless the node is settled.
func (n *node) run() {
	if n.settled.CompareAndSwap(false, true) {
		n.target.ended()
	}
}

// leave settles the node without notifying its target. It reports whether the node was not yet settled.
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

// The names of this package's processes. Each exists once in an actor system, has no goroutine and stays when a Runtime
// closes, because several Runtimes may have adopted the system.
const (
	discardName = "pb-discard"
	watcherName = "pb-watcher"
)

// nothing is a process that discards its messages.
type nothing struct{}

func (nothing) SendUserMessage(*protoactor.PID, any)   {}
func (nothing) SendSystemMessage(*protoactor.PID, any) {}
func (nothing) Stop(*protoactor.PID)                   {}

// discardOf returns the address of the system's discarding process.
func discardOf(system *protoactor.ActorSystem) *protoactor.PID {
	pid, _ := system.ProcessRegistry.Add(nothing{}, discardName)
	return pid
}

// watcherOf returns the system's watcher. The first call makes it.
func watcherOf(system *protoactor.ActorSystem) *watcher {
	w := newWatcher(system, watcherName)
	if _, added := system.ProcessRegistry.Add(w, watcherName); added {
		return w
	}
	p, _ := system.ProcessRegistry.GetLocal(watcherName)
	if known, ok := p.(*watcher); ok {
		return known
	}
	// The application uses the name for another process. Use a second watcher under another name.
	w.id += system.ProcessRegistry.NextId()
	system.ProcessRegistry.Add(w, w.id)
	return w
}
