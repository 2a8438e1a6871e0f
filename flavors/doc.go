// Package flavors defines what can cross a Perspective Broker connection, and how: by reference, by copy, or as a
// cache. The names are Twisted's, where a flavor is a base class that determines how an object is sent.
//
// # Local objects
//
// A struct that embeds [Referenceable] is sent by reference. Peers can call its exported methods whose names begin with
// Remote: takePond on the wire is RemoteTakePond in Go.
//
//	type Counter struct {
//		flavors.Referenceable
//		n int
//	}
//
//	func (c *Counter) RemoteIncr(by int) int { c.n += by; return c.n }
//
// Each such object is an actor. Its methods run one at a time, in the order in which the calls were sent, so they need
// no lock. A method that blocks delays only its own object; it can return an *actor.Deferred instead. See [MethodTable]
// for the rules for names, [Invocation] for what a method can learn about its call, and [Handler] and [Forward] for
// receiving calls as messages.
//
// The actor starts with the first call and ends when the last connection has released the object. The struct remains,
// and gets a new actor when it is sent again. [Spawn] starts an actor that does not end in this way. If a method
// panics, the caller gets an error and the actor is restarted. References remain valid. The state stays as it is,
// unless a [Resetter] or a producer (see [New]) replaces it.
//
// # Signatures of methods
//
// A method that peers can call has these parameters and results, of which all are optional:
//
//	func (o *T) RemoteName(ctx context.Context, inv *Invocation, a A, b B, kw Kw) (X, Y, error)
//
// The context ends with the connection or the user's logout. The arguments are converted to the types of the
// parameters; the last parameter may be variadic. A last parameter of type [Kw] takes the keywords. So does a struct
// with pb tags, or a pointer to one, whose fields are the keywords. Several results are sent as a tuple. A method may
// return an *actor.Deferred, which answers the call when it completes. A View method has the caller's perspective as
// its first argument. A method with another signature is an error when the object is published or sent.
//
// # Remote objects
//
// A [RemoteReference] is a handle on an object in the peer's program. [Call] calls a method and waits;
// [RemoteReference.CallRemote] returns a Deferred. [RemoteReference.PID] makes the object an address for actors: a
// [Message] sent there is a call, and an actor that watches it learns when the connection ends. The peer keeps its
// object while the handle is held; see [RemoteReference.Release] and [Link].
//
// # Copies and caches
//
// Sending a [Copyable] sends its present state; [RegisterCopy] registers a type for received copies. A [Cacheable] is
// sent once and then updated: [Update] changes it and calls its [Observers]. [RegisterCache] registers a type for local
// copies of a peer's Cacheable, which are held through a [Cached]. State and updates come from the original's actor, so
// none is lost and none comes twice. After the connection has ended, the copy is [Cached.Stale] but can still be read.
//
// # Failures
//
// The caller gets a method's error as a [Failure] with the names of its exception type and of that type's parents. So
// Twisted's trap and check work on it, and here errors.Is(err, [NoSuchMethod]). [NewException] makes new exception
// types.
//
// # Security
//
// Peers can call only methods with a flavor's prefix. If such a method is promoted from an embedded type without a
// flavor, the object cannot be sent until its [Publisher] lists the method. Only plain data and structs that embed a
// flavor can be sent; anything else fails the call, with an error that contains the path to the value. A reference is
// valid only on the connection and under the perspective with which it was received.
//
// Package paging sends large values in pages. Package published keeps copies from session to session.
// Package replica has maps and values that peers follow.
package flavors
