package flavors

import (
	"fmt"
	"slices"
	"strings"

	"github.com/perspectivebroker/pb/internal/usercode"
)

// Exception is a named type of failure: what `except` and `trap` look for on the other side. It serves as a sentinel
// for errors.Is and as the maker of failures of its type:
//
//	var ErrEmpty = flavors.NewException("pond.Empty", flavors.PBError)
//
//	func (p *Pond) RemoteTake() (string, error) {
//		return "", ErrEmpty.New("no ducks left")
//	}
//
// A peer written with Twisted traps it as "pond.Empty" or as any of its parents; Go code says errors.Is(err, ErrEmpty),
// whether the failure came over a connection or was made here. Two Exceptions of the same name are the same type.
type Exception struct {
	// Both are immutable: Exceptions are shared by all goroutines.
	name    string
	parents []string
}

// The root of all exceptions, which closes each list of parents that Twisted sends.
const pythonObject = "builtins.object"

// NewException names a type of failure. The name is dotted, like that of the Python class which the peer would raise.
// Parents are the types as which it shall be trapped too; without any it is a plain builtins.Exception. Names of
// parents go out in the order in which Python would list them (its method resolution order).
func NewException(name string, parents ...*Exception) *Exception {
	if len(parents) == 0 {
		parents = []*Exception{PlainException}
	}
	return &Exception{name: name, parents: slices.Clip(append([]string{name}, linearise(parents)...))}
}

// linearise merges the parents' lists so that each list keeps its order and no name comes before one that descends from
// it: Python's C3. Lists which contradict each other, which Python would refuse, are merged in the order given.
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

// Name is the dotted name of the type.
func (x *Exception) Name() string {
	if x == nil {
		return ""
	}
	return x.name
}

// Parents are the names by which the type can be trapped, its own first.
func (x *Exception) Parents() []string {
	if x == nil {
		return nil
	}
	return slices.Clone(x.parents)
}

// Error is the name: an Exception may be returned as an error itself when there is nothing more to say.
func (x *Exception) Error() string { return x.Name() }

// Is reports whether target is this type or one of its parents.
func (x *Exception) Is(target error) bool {
	t, ok := target.(*Exception)
	return ok && x != nil && t != nil && slices.Contains(x.parents, t.name)
}

// As makes a [Failure] without a text of an Exception that was returned as an error itself.
func (x *Exception) As(target any) bool {
	f, ok := target.(**Failure)
	if x == nil {
		return false
	}
	if ok {
		*f = x.New("")
	}
	return ok
}

// New makes a failure of this type. Its text is what the peer gets as the error's message.
func (x *Exception) New(text string) *Failure {
	if x == nil {
		x = PlainException
	}
	return &Failure{Type: x.name, Value: text, Parents: x.parents}
}

// Errorf makes a failure of this type with a formatted text. An error given with %w is the failure's cause for
// errors.Is and errors.As here; only its text is sent.
func (x *Exception) Errorf(format string, args ...any) *Failure {
	err := fmt.Errorf(format, args...)
	f := x.New(err.Error())
	if strings.Contains(format, "%w") {
		f.Err = err
	}
	return f
}

// Wrap makes a failure of this type out of another error, whose text it keeps.
func (x *Exception) Wrap(cause error) *Failure {
	if cause == nil {
		return x.New("")
	}
	f := x.New(usercode.ErrorText(cause))
	f.Err = cause
	return f
}

// The exceptions of Python that Go programs have a use for. The first is what any Go error becomes that says nothing
// else of its type.
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

// Twisted's own, under the names its programs trap them by.
var (
	// PBError is the one that services derive their expected errors from: Twisted logs no traceback for it.
	PBError = NewException("twisted.spread.pb.Error", PlainException)
	// ProtocolError is the fault of a peer that breaks the protocol.
	ProtocolError = NewException("twisted.spread.pb.ProtocolError", PlainException)
	// DeadReference fails a call on a reference that is no longer good: released, or its connection is gone.
	DeadReference = NewException("twisted.spread.pb.DeadReferenceError", ProtocolError)
	// ConnectionLost fails a call whose connection died before the answer came.
	ConnectionLost = NewException("twisted.spread.pb.PBConnectionLost", PlainException)
	// NoSuchMethod fails a call of a method that the object does not publish.
	NoSuchMethod = NewException("twisted.spread.flavors.NoSuchMethod", AttributeError)
	// InsecureJelly refuses a value whose type or class was not allowed in, or that cannot be sent.
	InsecureJelly = NewException("twisted.spread.jelly.InsecureJelly", PlainException)
	// BananaError refuses what is too large for the wire.
	BananaError = NewException("twisted.spread.banana.BananaError", PlainException)
	// Cancelled is the failure of what was given up, and of a context.Canceled.
	Cancelled = NewException("twisted.internet.defer.CancelledError", PlainException)
	// TimedOut is the failure of what took too long, and of a context.DeadlineExceeded.
	TimedOut = NewException("twisted.internet.defer.TimeoutError", PlainException)
)

// knownParents finds the parents of a type that is named without them. A type nobody knows is taken for a plain
// exception.
func knownParents(name string) []string {
	for _, x := range []*Exception{
		PlainException, BaseException, TypeError, ValueError, AttributeError, LookupError, KeyError, IndexError, RuntimeError,
		NotImplementedError, PBError, ProtocolError, DeadReference, ConnectionLost, NoSuchMethod, InsecureJelly, BananaError,
		Cancelled, TimedOut, ErrObjectStopped,
	} {
		if x.name == name {
			return x.parents
		}
	}
	return append([]string{name}, PlainException.parents...)
}

// The exceptions of Twisted's cred that reach a peer. A refused login is always an UnauthorizedLogin, whatever the
// reason.
var (
	// Unauthorized is the parent of what somebody may not do.
	Unauthorized = NewException("twisted.cred.error.Unauthorized", PlainException)
	// LoginFailed is the parent of failed logins.
	LoginFailed = NewException("twisted.cred.error.LoginFailed", PlainException)
	// UnauthorizedLogin is a login that was refused.
	UnauthorizedLogin = NewException("twisted.cred.error.UnauthorizedLogin", LoginFailed, Unauthorized)
)
