package flavors

import (
	"slices"
)

// Exception is a named type of failure, as which a peer can trap it. It is a sentinel for errors.Is and makes failures
// of its type:
//
//	var ErrEmpty = flavors.NewException("pond.Empty", flavors.PBError)
//
//	func (p *Pond) RemoteTake() (string, error) {
//		return "", ErrEmpty.New("no ducks left")
//	}
//
// A Twisted peer traps it as "pond.Empty" or as one of its parents. Go code uses errors.Is(err, ErrEmpty), whether the
// failure came from a peer or arose here. Two Exceptions of the same name are the same type.
type Exception struct {
	// Immutable.
	name    string
	parents []string
}

// pythonObject is the last parent of each exception, as Twisted sends it.
const pythonObject = "builtins.object"

// NewException returns a type of failure with a dotted name, like that of a Python class. It can also be trapped as any
// of its parents; without parents it derives from builtins.Exception. The parents are sent in Python's method
// resolution order.
func NewException(name string, parents ...*Exception) *Exception {
	if len(parents) == 0 {
		parents = []*Exception{PlainException}
	}
	return &Exception{name: name, parents: slices.Clip(append([]string{name}, linearise(parents)...))}
}

// linearise merges the parents' lists by Python's C3: each list keeps its order, and no name precedes one that derives
// from it. Contradictory lists, which Python refuses, are merged in the order given.
func linearise(parents []*Exception) []string {
	var lists [][]string
	for _, p := range parents {
		if p != nil {
			lists = append(lists, slices.Clone(p.parents))
		}
	}
	var merged []string
	for {
		lists = slices.DeleteFunc(lists, func(l []string) bool { return len(l) == 0 })
		if len(lists) == 0 {
			return merged
		}
		next := lists[0][0]
		for _, l := range lists {
			if head := l[0]; !inTail(lists, head) {
				next = head
				break
			}
		}
		merged = append(merged, next)
		for i, l := range lists {
			lists[i] = slices.DeleteFunc(l, func(name string) bool { return name == next })
		}
	}
}

func inTail(lists [][]string, name string) bool {
	for _, l := range lists {
		if slices.Contains(l[1:], name) {
			return true
		}
	}
	return false
}

// Name returns the dotted name of the type.
func (x *Exception) Name() string {
	if x == nil {
		return ""
	}
	return x.name
}

// Parents returns the names by which the type can be trapped, its own first.
func (x *Exception) Parents() []string {
	if x == nil {
		return nil
	}
	return slices.Clone(x.parents)
}

// Error returns the name. An Exception may itself be returned as an error without a text.
func (x *Exception) Error() string { return x.Name() }

// Is reports whether target is this type or one of its parents.
func (x *Exception) Is(target error) bool {
	t, ok := target.(*Exception)
	return ok && x != nil && t != nil && slices.Contains(x.parents, t.name)
}

// Exceptions of Python. PlainException is the type of Go errors that have no other.
var (
	PlainException = &Exception{
		name:    "builtins.Exception",
		parents: []string{"builtins.Exception", "builtins.BaseException", pythonObject},
	}
	BaseException = &Exception{
		name:    "builtins.BaseException",
		parents: []string{"builtins.BaseException", pythonObject},
	}
	TypeError           = NewException("builtins.TypeError", PlainException)
	ValueError          = NewException("builtins.ValueError", PlainException)
	AttributeError      = NewException("builtins.AttributeError", PlainException)
	LookupError         = NewException("builtins.LookupError", PlainException)
	KeyError            = NewException("builtins.KeyError", LookupError)
	IndexError          = NewException("builtins.IndexError", LookupError)
	RuntimeError        = NewException("builtins.RuntimeError", PlainException)
	NotImplementedError = NewException("builtins.NotImplementedError", RuntimeError)
)

// Exceptions of Twisted, under the names by which its programs trap them.
var (
	// PBError is the parent of a service's expected errors. Twisted logs no traceback for it.
	PBError = NewException("twisted.spread.pb.Error", PlainException)
	// ProtocolError reports that a peer broke the protocol.
	ProtocolError = NewException("twisted.spread.pb.ProtocolError", PlainException)
	// DeadReference fails a call on a reference that was released or whose connection has ended.
	DeadReference = NewException("twisted.spread.pb.DeadReferenceError", ProtocolError)
	// ConnectionLost fails a call whose connection ended before the answer came.
	ConnectionLost = NewException("twisted.spread.pb.PBConnectionLost", PlainException)
	// NoSuchMethod fails a call of a method that the object does not publish.
	NoSuchMethod = NewException("twisted.spread.flavors.NoSuchMethod", AttributeError)
	// InsecureJelly refuses a value whose type or class is not allowed, or that cannot be sent.
	InsecureJelly = NewException("twisted.spread.jelly.InsecureJelly", PlainException)
	// BananaError refuses a value that is too large for the wire.
	BananaError = NewException("twisted.spread.banana.BananaError", PlainException)
	// Cancelled is the failure of a cancelled Deferred or context.
	Cancelled = NewException("twisted.internet.defer.CancelledError", PlainException)
	// TimedOut is the failure of an operation that took too long, and of a context.DeadlineExceeded.
	TimedOut = NewException("twisted.internet.defer.TimeoutError", PlainException)
)

// ErrObjectStopped is the error of a call to an object that has stopped for good: the application stopped its actor, or
// the runtime closes. Panics of the object's own code never stop it. errors.Is recognises the error on both sides of a
// connection.
var ErrObjectStopped = NewException("perspectivebroker.ObjectStopped", PBError)

// ErrLoggedOut is the error of a call of a user who has logged out before the call began. errors.Is recognises it on
// both sides of a connection.
var ErrLoggedOut = NewException("perspectivebroker.LoggedOut", PBError)

// DeadlineExceeded is the error of a call whose deadline came before its answer: the callee answered with it.
// errors.Is(err, [context.DeadlineExceeded]) holds too, on both sides of a connection.
var DeadlineExceeded = NewException("perspectivebroker.DeadlineExceeded", PBError)

// Canceled is how a callee answers a call that its caller has cancelled. errors.Is(err, [context.Canceled]) holds too.
var Canceled = NewException("perspectivebroker.Canceled", PBError)

// knownParents returns the parents of a predeclared type. Other types derive from a plain exception.
func knownParents(name string) []string {
	for _, x := range []*Exception{
		PlainException, BaseException, TypeError, ValueError, AttributeError, LookupError, KeyError, IndexError, RuntimeError,
		NotImplementedError, PBError, ProtocolError, DeadReference, ConnectionLost, NoSuchMethod, InsecureJelly, BananaError,
		Cancelled, TimedOut, ErrObjectStopped, DeadlineExceeded, Canceled,
	} {
		if x.name == name {
			return x.parents
		}
	}
	return append([]string{name}, PlainException.parents...)
}

// Exceptions of Twisted's cred. A refused login is always an UnauthorizedLogin, whatever the reason.
var (
	// Unauthorized is the parent of refusals.
	Unauthorized = NewException("twisted.cred.error.Unauthorized", PlainException)
	// LoginFailed is the parent of failed logins.
	LoginFailed = NewException("twisted.cred.error.LoginFailed", PlainException)
	// UnauthorizedLogin is a refused login.
	UnauthorizedLogin = NewException("twisted.cred.error.UnauthorizedLogin", LoginFailed, Unauthorized)
)
