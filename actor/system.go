package actor

import protoactor "github.com/asynkron/protoactor-go/actor"

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
