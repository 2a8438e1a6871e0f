package flavors

import (
	"slices"
	"strings"

	"github.com/perspectivebroker/pb/internal/usercode"
)

// Failure is an error that has been sent by a peer, or that is fit to be sent to one: a type by name, the names of its
// parents, and a text. It is Twisted's Failure as far as it crosses a connection.
//
// Code that gets one asks what it is with errors.Is and an [Exception], or with Check by name, as in Twisted:
//
//	var f *flavors.Failure
//	switch {
//	case errors.Is(err, flavors.NoSuchMethod): …
//	case errors.As(err, &f) && f.Check("pond.Empty") != "": …
//	}
type Failure struct {
	// Type is the dotted name of the exception's class.
	Type string
	// Value is the exception's text.
	Value string
	// Parents are the names by which the failure can be trapped: Type itself and its base classes. Left empty on a failure
	// of one's own, it stands for what is known of Type, or else for a plain exception's.
	Parents []string
	// Traceback is a text for people. Peers send "Traceback unavailable\n" unless they were told to be indiscreet.
	Traceback string
	// Err is the cause, if the failure was made here. It is not sent.
	Err error

	// remote says that the failure came over a connection.
	remote bool
	// reveal says that Traceback may be sent.
	reveal bool
}

// Error is the text. For a failure that came from a peer the type stands in front, because many of Python's texts mean
// nothing without it; the plain builtins.Exception says nothing and is left out.
func (f *Failure) Error() string {
	if f == nil {
		return "no failure"
	}
	switch {
	case f.Value == "":
		return f.Type
	case !f.remote || f.Type == PlainException.name:
		return f.Value
	}
	return f.Type + ": " + f.Value
}

// DescribeJelly implements [jelly.Describer].
func (f *Failure) DescribeJelly() string {
	if f == nil {
		return "no failure"
	}
	const most = 200 // More than is shown.
	return clipText(f.Type, most) + ": " + clipText(f.Value, most)
}

// Unwrap gives the local cause.
func (f *Failure) Unwrap() error {
	if f == nil {
		return nil
	}
	return f.Err
}

// Is reports whether target is an Exception as which the failure can be trapped.
func (f *Failure) Is(target error) bool {
	x, ok := target.(*Exception)
	return ok && x != nil && f.is(x.name)
}

// Check returns the first of the names that is the failure's type or one of its parents, and "" if none is.
func (f *Failure) Check(names ...string) string {
	for _, name := range names {
		if f.is(name) {
			return name
		}
	}
	return ""
}

// Trap is Check for those who cannot go on with any other failure: then the failure itself is the error.
func (f *Failure) Trap(names ...string) (string, error) {
	if name := f.Check(names...); name != "" {
		return name, nil
	}
	return "", f
}

// Remote reports whether the failure came from a peer.
func (f *Failure) Remote() bool { return f != nil && f.remote }

// is looks a name up among the parents. Peers on Python 2 have the standard exceptions in another module; they are the
// same.
func (f *Failure) is(name string) bool {
	if f == nil {
		return false
	}
	if name == f.Type || slices.Contains(f.Parents, name) {
		return true
	}
	if len(f.Parents) == 0 && slices.Contains(knownParents(f.Type), name) {
		return true
	}
	standard, ok := strings.CutPrefix(name, "builtins.")
	if !ok {
		return false
	}
	old := "exceptions." + standard
	return old == f.Type || slices.Contains(f.Parents, old)
}

// parents are the names to be sent.
func (f *Failure) parents() []string {
	if len(f.Parents) > 0 {
		return f.Parents
	}
	return knownParents(f.Type)
}

// originated is an error that knows on which side it arose.
type originated interface {
	error
	fromPeer() bool
}

// fromPeer implements originated.
func (f *Failure) fromPeer() bool { return f != nil && f.remote }

// IsRemote reports whether err is a failure that a peer sent, as a [Failure] or as an object of a class registered
// here, in contrast to one that arose on this side: a reference that is dead, a value that cannot be sent, a context
// that ended. Of an error that wraps several, the outermost of these counts.
func IsRemote(err error) bool {
	o, ok := usercode.As[originated](err)
	return ok && o.fromPeer()
}
