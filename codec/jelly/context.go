package jelly

import "github.com/perspectivebroker/pb/codec/banana"

// Context is what values are encoded for. The zero Context encodes for no
// connection, under profile none and the default limits.
type Context struct {
	// Profile is what was agreed on with the peer.
	Profile banana.Profile
	// Limits are what the peer accepts; fields that are zero have Twisted's defaults.
	Limits banana.Limits
	// Nesting is how deep values may be nested; 0 stands for DefaultNesting.
	Nesting int
	// Root is how error paths begin. The default is "value"; JellyTuple and
	// JellyKw have "args" and "kw" of their own.
	Root string
	// Invoker is the connection, and Perspective whom the value is shown to.
	// Both are for JellyTo methods; this package only hands them on.
	Invoker     any
	Perspective any
	// PersistentStore may replace an object by an identifier that the peer
	// knows it by. It is asked for pointers that have no meaning of their own here,
	// before they are refused or sent as dictionaries.
	PersistentStore func(v any) (id any, ok bool)
}

// Jellyable is implemented by values that encode themselves, mostly by embedding a type that does. Such a method is
// promoted and does not know what it has been promoted to, so it is given self: the value that was met. A struct that
// was met by value is given as a pointer, to the struct itself where it is an element or a field that has an address,
// and to a copy elsewhere (see Encoder.Pointer): so self has all methods of its type, whatever their receivers are.
//
// JellyTo writes exactly one expression, or returns an error.
type Jellyable interface {
	JellyTo(e *Encoder, self any) error
}
