// Package supervision provides the tree of a Runtime's actors, restart strategies, and leases. It knows nothing about
// Perspective Broker.
//
// # The tree
//
// [TreeOf] returns the tree of a Runtime:
//
//	pb
//	├─ listeners   restart with backoff, without limit
//	├─ dialers     restart with jittered backoff, without limit
//	├─ objects     restart, without limit
//	└─ caches      the same
//
// [Tree.Spawn] starts an actor below one of the branches. An actor supervises its own children with a strategy of this
// package. Every strategy decides for itself: no failure reaches a guardian of the actor system, which would end the
// process. An actor that is given up receives Stopping and Stopped like any other, which tells its owner that it will
// not come back.
//
// The tree stops in the last phase of the Runtime's Close: listeners and dialers first, then objects and caches.
//
// # Leases
//
// A [Lease] represents what a holder uses. It is released exactly once, either by a call or when the holder has ended.
package supervision
