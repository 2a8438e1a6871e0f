package broker

import (
	"errors"
	"fmt"

	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// Errors that end a connection, as the cause of its context, or keep a call from being made.
var (
	// ErrClosed is the cause when this side closed the connection.
	ErrClosed = errors.New("broker: the connection was closed on this side")
	// ErrPeerClosed is the cause when the peer closed the connection in good order.
	ErrPeerClosed = errors.New("broker: the peer closed the connection")
	// ErrTooManyCalls fails a call when Limits.CallsOut calls are unanswered.
	ErrTooManyCalls = errors.New("broker: too many calls are unanswered on this connection")
	// ErrBackedUp fails a CallRemote while more than Limits.HighWater bytes wait to be written; a Call waits instead.
	ErrBackedUp = errors.New("broker: the peer does not read as fast as it is written to")
	// ErrTooManyReferences fails a call or an answer that would hand out more than Limits.Exports references, or that
	// would be the first to mention more than Limits.Caches Cacheables.
	ErrTooManyReferences = errors.New("broker: the peer holds as many references as it may")

	// ErrTooManyImports fails a call of the peer's, or the answer of one of ours, that would have this side hold more than
	// Limits.Imports of the peer's objects.
	ErrTooManyImports = errors.New("broker: this side holds as many of the peer's objects as it may")

	// ErrNoRoom fails a call of the peer's, with Busy, or the answer of one of ours, whose values would take more memory
	// than there is left of Limits.Total. They were not decoded.
	ErrNoRoom = errors.New("broker: Limits.Total leaves no room for the values of this message")

	errObserverGone = errors.New("broker: the peer keeps no copy any more")
)

// Busy is how a call fails when its peer has too many of ours unanswered: a pb.Error of the field, so that stock
// programs print no traceback.
var Busy = flavors.NewException("perspectivebroker.Busy", flavors.PBError)

// ProtocolError is the cause when the peer broke the protocol. The connection is closed, the process and other
// connections are not affected.
type ProtocolError struct {
	// Command is the command in which the error was found; empty when it was found before any.
	Command string
	// What says what was wrong.
	What string
	// Reason is what the end of the connection is counted under; NotRefused if Err says it, or it was the form of the
	// command.
	Reason Reason
	// Err is the underlying error, such as a banana.LimitError; may be nil.
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

// because says what a protocol error is counted under.
func (e *ProtocolError) because(r Reason) *ProtocolError {
	e.Reason = r
	return e
}
