package actor

import (
	"sync"
	"sync/atomic"

	"github.com/perspectivebroker/pb/internal/usercode"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// localHost is the address of PIDs in a system that others cannot reach.
const localHost = "nonhost"

// watcher is a process that is told when actors have stopped, and runs what was to happen then. One serves
// a whole actor system: a watched actor costs an entry, each thing that is to happen
// another small one, and no goroutine is needed.
//
// It never says Unwatch: an entry without nodes stays until its actor has stopped. Unwatch and a
// following Watch from another goroutine could overtake each other, and then nobody would watch.
type watcher struct {
	system *protoactor.ActorSystem
	id     string

	mu      sync.Mutex
	watched map[address]*group
}

// address identifies an actor; host is empty for those of the watcher's own system.
type address struct{ host, id string }

func newWatcher(system *protoactor.ActorSystem, id string) *watcher {
	return &watcher{system: system, id: id, watched: make(map[address]*group)}
}

// WhenStopped has f run once the actor at pid has stopped for good, or at once if it does not exist any
// more. A restart is not a stop. f runs exactly once unless cancel comes first, in the goroutine in which
// the actor ended: it must not block. cancel reports whether it came first.
func (rt *Runtime) WhenStopped(pid *protoactor.PID, f func()) (cancel func() bool) {
	if f == nil {
		return func() bool { return false }
	}
	n := &funcNode{rt: rt, f: f}
	n.target = n
	if rt.Check() != nil {
		n.run() // There is no such actor.
		return n.leave
	}
	rt.watcher.add(pid, &n.node)
	return n.leave
}

// WhenInstanceEnds is WhenStopped for the present instance of the actor whose turn it is: f also runs
// when the actor is restarted. It reports false, and forgets f, for actors that were not made from [Runtime.Props]
// and for instances that have ended.
func WhenInstanceEnds(on Turn, f func()) (cancel func() bool, ok bool) {
	if on == nil || f == nil {
		return func() bool { return false }, false
	}
	g := guardOf(on.Actor())
	if g == nil {
		return func() bool { return false }, false
	}
	n := &funcNode{rt: g.rt, f: f}
	n.target = n
	if !g.needed().instance.join(&n.node) {
		return func() bool { return false }, false
	}
	return n.leave, true
}

// funcNode is a node that calls a function.
type funcNode struct {
	node
	rt *Runtime
	f  func()
}

// ended calls the application's function. What its panic would end is the turn of the actor that has just stopped.
func (n *funcNode) ended() {
	if p := usercode.Do(n.f); p != nil {
		n.rt.logFunction("a function that waited for the end of an actor panicked", p)
	}
}

// logFunction logs the panic of a function that the application has given us.
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
	g.join(n) // it cannot have ended, for it is in the map
	w.mu.Unlock()
	if !known {
		// Outside of the lock: the answer may come before this returns.
		process, _ := w.system.ProcessRegistry.Get(pid)
		process.SendSystemMessage(pid, &protoactor.Watch{Watcher: w.system.NewLocalPID(w.id)})
	}
}

// locate reports the key of an actor. Of local ones it knows whether they exist, without a word to the dead letters.
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

// SendSystemMessage takes Terminated.
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

// SendUserMessage ignores what it is sent: nobody has a reason to.
func (w *watcher) SendUserMessage(*protoactor.PID, any) {}

// Stop does nothing: the watcher serves the system as long as that lives.
func (w *watcher) Stop(*protoactor.PID) {}

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

// The processes of this package that exist once in each actor system, under names of their own. They hold
// no goroutine and stay when a Runtime closes, since several may have adopted the system.
const (
	discardName = "pb-discard"
	watcherName = "pb-watcher"
)

// nothing is the process that swallows what it is sent.
type nothing struct{}

func (nothing) SendUserMessage(*protoactor.PID, any)   {}
func (nothing) SendSystemMessage(*protoactor.PID, any) {}
func (nothing) Stop(*protoactor.PID)                   {}

// discardOf returns the address of the system's process that swallows messages.
func discardOf(system *protoactor.ActorSystem) *protoactor.PID {
	pid, _ := system.ProcessRegistry.Add(nothing{}, discardName)
	return pid
}

// watcherOf returns the system's watcher, made by whoever comes first.
func watcherOf(system *protoactor.ActorSystem) *watcher {
	w := newWatcher(system, watcherName)
	if _, added := system.ProcessRegistry.Add(w, watcherName); added {
		return w
	}
	p, _ := system.ProcessRegistry.GetLocal(watcherName)
	if known, ok := p.(*watcher); ok {
		return known
	}
	// The application has taken our name for something else. Any other does as well, at the cost of a second watcher.
	w.id += system.ProcessRegistry.NextId()
	system.ProcessRegistry.Add(w, w.id)
	return w
}
