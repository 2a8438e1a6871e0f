package flavors

import (
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// FailureFrom makes an error of what the peer sent as one: the failure that Jelly left unbound, an object of a
// registered class, or any other value. errors.As finds an object of a registered class in it, and [IsRemote] is true
// for all of them.
func FailureFrom(v any) error {
	switch x := v.(type) {
	case *jelly.Unbound:
		f, err := failureFromState(x.Tag, x.State)
		if err != nil {
			return failureFromValue(err.Error())
		}
		return f
	case *Failure:
		if x != nil && x.remote {
			return x
		}
	case error:
		return &remoteError{x}
	}
	return failureFromValue(v)
}

// remoteError is a peer's failure of a class of the application's own. Its type tells it apart from the same error made
// here.
type remoteError struct{ err error }

// Error is the text of the application's error.
func (e *remoteError) Error() string { return usercode.ErrorText(e.err) }

// Unwrap gives the application's error.
func (e *remoteError) Unwrap() error { return e.err }

// fromPeer implements originated.
func (*remoteError) fromPeer() bool { return true }

// localFailure gives an error of the packages below the exception type as which a peer would see it, so that errors.Is
// finds the same whichever side refused: a class that is not registered is InsecureJelly here and there. Other errors
// stay what they are.
func localFailure(err error) error {
	if err == nil {
		return nil
	}
	if x := standardException(err); x != nil {
		return x.wrapText(usercode.ErrorText(err), err)
	}
	return err
}
