package seam

import (
	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
)

// Core is an object of ours, in the tables of the connections. See package flavors.
type Core interface {
	// String names the object in logs.
	String() string
	// Value returns the user's struct.
	Value() any
	// Hold notes that one more table has the object. From now on the object takes messages.
	Hold(rt *actor.Runtime)
	// Release undoes a Hold. After the last one the object's actor ends, unless the application has spawned it.
	Release()
	// UsableIn returns an error if the object cannot be given out by a runtime, because it is in use in another one.
	UsableIn(rt *actor.Runtime) error
	// Publish notes that a listener shows the object to every peer that connects, until withdraw is called.
	Publish(rt *actor.Runtime) (withdraw func(), err error)
	// Undecoded returns which calls through references with a prefix are to be delivered with arguments that were not
	// decoded: all of them, or those of the methods for which keeps, if not nil, returns true. keeps may be called by any
	// goroutine.
	Undecoded(prefix string) (all bool, keeps func(method string) bool)
	// Deliver gives a call to the object's actor. Calls run in the order of delivery.
	Deliver(call Call)
	// Observe asks a Cacheable for its state and registers the observer, in one turn.
	Observe(observer Observer, reply func(state *jelly.Fragment, err error))
	// Unobserve takes an observer out. done, if not nil, is called when the Cacheable has been told, or will not be.
	Unobserve(observer Observer, done func())
}

// Observer is what the broker needs of a flavors.Observer.
type Observer interface {
	// Luid returns what the peer knows the copy by, zero until the state has been sent. Luid and SetLuid are for the
	// broker's turn only.
	Luid() int64
	SetLuid(luid int64)
	// TypeName names the type of the original, for figures.
	TypeName() string
	// Unsent logs that an update which wants no answer could not be written.
	Unsent(method string, err error)
}

// Caller makes the calls of a peer: a connection, or a user who has logged in over it.
type Caller interface {
	// Reaches notes that calls of the caller may wait for an object from now on.
	Reaches(core Core)
	// IsBusy reports whether a method runs for the caller, or a call waits for its turn. Calls that wait because the peer
	// does not read do not count.
	IsBusy() bool
	// End lets no more calls begin, ends the context of those that have begun, and drops those that wait. It may be
	// called more than once, and while calls come in.
	End()
	// IsOver reports whether the caller has ended.
	IsOver() bool
	// Idle returns a channel that is closed when the caller has ended and no method runs for it any more.
	Idle() <-chan struct{}
}

// LoginAnswer is an avatar as the answer to a login.
type LoginAnswer interface {
	// Key identifies the calls of the user: by the perspective, or by the object's core if there is none.
	Key() any
	// Admit sets the caller of the user. onRelease runs in the broker's turn when the peer has released the avatar.
	Admit(user Caller, onRelease func())
}

// LocalCache is an entry in the broker's table of the peer's originals that are cached here.
type LocalCache interface {
	// Receive returns the *flavors.Cached for one more mention of the original.
	Receive() Handle
	// IsHeld reports whether there is a handle that has not been released.
	IsHeld() bool
	// Sweep releases the handle if it has been garbage collected.
	Sweep()
	// Expect names the copy as the target of an update, for logs. Deliver gives it the update.
	Expect(call Call)
	Deliver(call Call)
	// Disconnected ends the entry: the copy is not followed any more.
	Disconnected()
}

// CacheBlank is a copy that waits for its state, as the registry makes it.
type CacheBlank interface {
	// Attach ties the copy to the connection on which its original came.
	Attach(conn Conn, luid int64) (LocalCache, error)
}

// ObjectInfo describes an object that has an actor, to people who look at a running program.
type ObjectInfo struct {
	Actor    string // the id of the actor's PID
	Type     string
	Branch   string // of the tree of actors
	Waiting  int    // messages that wait for the object's turn, including those of peers that do not read
	Running  string // the method that runs; empty if there is none. A peer chooses the names of methods.
	Restarts uint64 // after a panic
	Holders  int    // connections and listeners that give the object out
	Copies   int    // copies that peers keep, of a Cacheable
}
