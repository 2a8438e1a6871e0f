// Package supervision decides who stops and who restarts when an actor fails, keeps the tree in
// which the actors of a Runtime live, and knows who holds whom. It knows nothing of Perspective Broker.
//
// # The tree
//
// [TreeOf] returns the tree of a Runtime:
//
//	pb
//	├─ listeners   restart with backoff, for ever
//	├─ dialers     restart with jittered backoff, for ever
//	├─ objects     restart, for ever
//	└─ caches      likewise
//
// [Tree.Spawn] puts an actor below one of them; what that actor spawns itself is its own to supervise, with one of the
// strategies of this package. Every strategy decides: no failure reaches a guardian of the actor system, which would
// end the process. An actor that is given up gets Stopping and Stopped like any other, so that is how its owner learns
// that it will not come back.
//
// The tree stops in the last phase of the Runtime's Close, listeners and dialers before objects and caches.
//
// # Leases
//
// A [Lease] is what a holder has taken: it is released exactly once, when the holder says
// so or when it has ended in whatever way.
package supervision
