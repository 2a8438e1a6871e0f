package broker

import (
	"errors"
	"fmt"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// Errors that end a connection, as the cause of its context, or fail a call.
var (
	// ErrClosed is the cause when this side closed the connection.
	ErrClosed = errors.New("broker: the connection was closed on this side")
	// ErrPeerClosed is the cause when the peer closed the connection in good order.
	ErrPeerClosed = errors.New("broker: the peer closed the connection")
	// ErrSilent is the cause when the peer did not answer a keepalive in time; see [WithKeepalive].
	ErrSilent error = &rejectionError{"broker: the peer has fallen silent", rejectSilence}
	// ErrTooManyCalls fails a call when Limits.CallsOut calls are unanswered.
	ErrTooManyCalls = errors.New("broker: too many calls are unanswered on this connection")
	// ErrBackedUp fails a CallRemote while more than Limits.WriteHighWater bytes wait to be written. A Call waits instead.
	ErrBackedUp error = &rejectionError{"broker: the peer does not read as fast as it is written to", rejectWriteBacklog}
	// ErrTooManyReferences fails a call or an answer that would hand out more than Limits.Exports references, or more than
	// Limits.Caches Cacheables.
	ErrTooManyReferences error = &rejectionError{"broker: the peer holds as many references as it may", rejectCaches}
	// ErrTooManyImports fails a call of the peer, or the answer to one of ours, that would make this side hold more than
	// Limits.Imports of the peer's objects.
	ErrTooManyImports error = &rejectionError{
		"broker: this side holds as many of the peer's objects as it may", rejectImports,
	}
	// ErrNoRoom fails a call of the peer, with [Busy], or the answer to one of ours, whose values need more memory than is
	// left of Limits.MemoryTotal. The values were not decoded.
	ErrNoRoom error = &rejectionError{
		"broker: Limits.MemoryTotal leaves no room for the values of this message", rejectMemoryTotal,
	}

	errObserverGone = errors.New("broker: the peer keeps no copy any more")
	// errNoLogin is the cause when the last answer to a peer that did not log in in time cannot be written.
	errNoLogin error = &rejectionError{"broker: nobody logged in in time", rejectLoginDeadline}
)

// Busy is how a call fails when too many calls of its caller are unanswered. It is a pb.Error, so that stock programs
// print no traceback.
var Busy = flavors.NewException("perspectivebroker.Busy", flavors.PBError)

// ProtocolError is the cause when the peer broke the protocol. Only its connection is closed.
type ProtocolError struct {
	// Command is the command that was wrong, or empty if there was none.
	Command string
	// What describes the fault.
	What string
	// Rejection is what the fault is counted under. If it is empty, Err decides, then "command".
	Rejection Rejection
	// Err is the underlying error, such as a *banana.LimitError, or nil.
	Err error
}

func (e *ProtocolError) Error() string {
	if e == nil {
		return "broker: no protocol error"
	}
	s := "broker: protocol error"
	if e.Command != "" {
		s += " in [" + e.Command + " …]"
	}
	s += ": " + e.What
	if e.Err != nil {
		s += ": " + usercode.ErrorText(e.Err)
	}
	return s
}

func (e *ProtocolError) Unwrap() error {
	if e == nil {
		return nil
	}
	return e.Err
}

func protocolErrorf(command, format string, args ...any) *ProtocolError {
	return &ProtocolError{Command: command, What: fmt.Sprintf(format, args...)}
}

// as sets what e is counted under.
func (e *ProtocolError) as(r Rejection) *ProtocolError {
	e.Rejection = r
	return e
}

func (e *ProtocolError) rejection() Rejection {
	if e == nil {
		return rejectCommand
	}
	var syntax *banana.SyntaxError
	switch r := rejectionOf(e.Err); {
	case e.Rejection != "":
		return e.Rejection
	case r == rejectValue && usercode.AsInto(e.Err, &syntax):
		return rejectSyntax
	case r != "":
		return r
	}
	return rejectCommand
}
