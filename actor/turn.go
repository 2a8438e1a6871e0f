package actor

import protoactor "github.com/asynkron/protoactor-go/actor"

// Turn is what a continuation runs in: an actor that is alive. Every protoactor.Context is one.
type Turn interface {
	Self() *protoactor.PID
	ActorSystem() *protoactor.ActorSystem
	Actor() protoactor.Actor
}

// Poster is implemented by a Turn that knows its own way to queue a continuation. It is preferred where it is
// implemented. Post may be called from any goroutine, also long after the turn in which the Poster was handed out. It
// must call exactly one of the two functions once: run in a turn of the same instance of the actor, behind
// the user messages that were queued before, or else drop with the reason. A panic of run is to be passed on to
// the supervisor.
type Poster interface {
	Post(run func(), drop func(reason error))
}
