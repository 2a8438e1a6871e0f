package actor

import (
	"sync"

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
