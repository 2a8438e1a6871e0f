// Package actor is the substrate on which everything that runs in this module
// runs: a thin layer over protoactor-go that adds what a network library needs
// from its actor system and knows nothing of Perspective Broker.
//
// A [Runtime] owns a dispatcher, the goroutines that were started through it
// and the order in which all of it ends. It either makes an actor system of its
// own ([NewRuntime]) or moves into one that the application already has
// ([Adopt]); in the latter case only actors spawned from [Runtime.Props] use our
// dispatcher and our mailbox, and the system is left running when we close.
//
// A [Deferred] is a result that is not there yet. It is completed exactly once.
// [Deferred.Then] continues in an actor's turn, [Deferred.Await] waits in a
// plain goroutine, [Deferred.PipeTo] makes a message of it.
//
// # Turns
//
// An actor handles one message at a time; while it does, it has its turn. A
// turn must not wait: whoever waits in it holds up all that is queued behind
// it. Continuations are delivered as user messages, hence in the order in which
// their results came, behind what was queued before, and never into an
// instance of the actor other than the one that asked.
//
// # Ends
//
// [Runtime.Close] goes through the phases in order: refuse, drain, disconnect,
// stop. It then waits for the goroutines and for the dispatcher. When its context
// ends first it returns a [StillRunningError] that names what is left, and goes
// on closing with the waits between the phases cut short.
//
// An actor made from [Runtime.Props] is guarded: a panic while it stops or
// restarts is logged and otherwise ignored, because protoactor would leave its
// parent waiting forever. Other panics are logged once with their stack and
// passed on to the supervisor. What is queued for an actor that has stopped
// is not lost: it goes to [Undertaker] where the actor is one, to the dead
// letters otherwise.
//
// # What is not done
//
// The mailbox takes no MessageBatch and no middleware. A Deferred that
// failed without anybody listening is not reported. Actors that the
// application spawned outside of our tree are the application's to stop.
package actor
