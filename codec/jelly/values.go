package jelly

// The types in this file stand for what Python has and Go has not. They are
// what a Decoder yields for it, and an Encoder writes them back unchanged.

// Tuple is a Python tuple. Like a slice of any it is shared when it is met
// twice in one value, and like a tuple it may be the key of a dictionary.
type Tuple []any

// Class names a Python class, as in "twisted.spread.pb.Root".
type Class string

// Module names a Python module.
type Module string

// Function names a Python function, with its module.
type Function string

// Method is a method bound to Self. Class is the class it was found in.
type Method struct {
	Name  string
	Self  any
	Class any
}

// Persistent stands for an object that both ends can find by an identifier of
// their own. ID is an integer, a string or []byte.
type Persistent struct{ ID any }

// Unpersistable is what the sender put in the place of something that it could
// not or would not send, with its reason.
type Unpersistable struct{ Reason string }

// Instance is an object of a class that has no Go type: the class's dotted name and the
// object's state, usually a *Dict. A pointer to it takes part in sharing.
// A Decoder yields one only for classes named in SecurityOptions.AllowInstancesOf.
type Instance struct {
	Class string
	State any
	// Old chooses the form [instance [class name] state] that Twisted wrote
	// before version 15, over [name state].
	Old bool
}
