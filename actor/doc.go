// Package actor adds to protoactor-go what a network library needs: a [Runtime] that closes in order, a dispatcher that
// reuses goroutines, a mailbox, and Deferreds. It knows nothing about Perspective Broker.
//
// A [Runtime] owns a dispatcher, the goroutines started through it and the order in which they end. It makes its own
// actor system ([NewRuntime]) or uses one that the application already has ([Adopt]). In an adopted system only actors
// spawned from [Runtime.Props] use the Runtime's dispatcher and mailbox, and Close leaves the system running.
//
// A [Deferred] is a result that comes later. It is completed exactly once. [Deferred.Then] continues in an actor's
// turn, [Deferred.Await] waits in a plain goroutine, and [Deferred.PipeTo] sends the result as a message.
//
// # Turns
//
// An actor handles one message at a time; handling it is the actor's turn. A turn must not block, because everything
// queued behind it would wait too. Continuations are user messages: they run in the order in which their results came,
// after what was queued before, and only in the instance of the actor that called Then.
//
// # Closing
//
// [Runtime.Close] runs its phases in order: refuse, drain, disconnect, stop. It then waits for the goroutines and for
// the dispatcher. If its context ends first, Close returns a [StillRunningError] that names what still runs, and the
// closing goes on without waiting between the phases.
//
// An actor made from [Runtime.Props] is guarded. A panic while it stops or restarts is logged and otherwise ignored,
// because protoactor would leave its parent waiting forever. Any other panic is logged once with its stack and passed
// to the supervisor. Messages queued for an actor that has stopped go to its [DeadLetterHandler], if it is one, and
// otherwise to the dead letters.
//
// # Limitations
//
// The mailbox supports neither MessageBatch nor middleware. The failure of a Deferred without listeners is not
// reported. Actors that the application spawns outside the Runtime's tree are the application's to stop.
package actor
