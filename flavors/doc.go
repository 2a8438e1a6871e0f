// Package flavors says what may cross a Perspective Broker connection, and how: by reference, by copy, or as a cache.
// The words are Twisted's: its flavors are the base classes that say how an object travels.
//
// # Objects of ours
//
// A struct that embeds [Referenceable] travels by reference. Its exported methods whose names begin with Remote can be
// called by the peer: takePond on the wire is RemoteTakePond in Go.
//
//	type Counter struct {
//		flavors.Referenceable
//		n int
//	}
//
//	func (c *Counter) RemoteIncr(by int) int { c.n += by; return c.n }
//
// Each such object is an actor: its methods run one at a time, in the order in which the calls were sent, so they need
// no lock. A method that waits holds up its object, and nothing else; it returns a *actor.Deferred instead.
// [MethodTable] has the rules for names, [Invocation] is what a method can know of its call, [Handler] and [Forward]
// are for those who want the calls as messages.
//
// An object that has been sent gets its actor with the first call, and the actor ends when the last connection has let
// go; the struct stays, and sent again it gets a new one. [Spawn] gives it one for good. After a panic the caller gets
// an error, the supervisor restarts the actor, and references stay good: with the state as it is, or as [Resetter] or a
// producer ([New]) makes it.
//
// # Objects of the peer's
//
// A [RemoteReference] is a handle on an object in the peer's program. [Call] calls it and waits,
// [RemoteReference.CallRemote] gives a Deferred, and its [RemoteReference.PID] makes it an address for actors: a
// [Message] sent there is a call, and who watches it learns of the connection's end. The peer keeps its object while
// the handle is held; see [RemoteReference.Release] and [Link].
//
// # Copies and caches
//
// A [Copyable] goes as what it is at that moment, and [RegisterCopy] says what is made of one that comes. A [Cacheable]
// goes once and is followed from then on: it changes through [Update], which tells its [Observers], and what
// [RegisterCache] has made of one here is held through a [Cached], whose View shows it between two updates. State and
// updates come from the original's own actor, so nothing is lost between them and nothing comes twice; a copy whose
// connection has ended can be read on, and says since when it is [Cached.Stale].
//
// # Failures
//
// What a method returns as an error, the caller gets as a [Failure], with the names of its exception type and of that
// type's parents, so that Twisted's trap and check work on it, and errors.Is here: errors.Is(err, [NoSuchMethod]).
// [NewException] makes exception types of one's own.
//
// # Security
//
// Only methods with a flavor's prefix can be called, and of embedded structs only those of flavors: an object with any
// other is refused until its [Publisher] decides about it. Only what embeds a flavor, or is plain data, can be sent;
// anything else fails the call that mentions it, by the path that leads there. A reference is good on the connection
// and under the perspective on which it was received, nowhere else.
//
// Package paging sends large values in pages. Package published keeps copies from session to session.
package flavors
