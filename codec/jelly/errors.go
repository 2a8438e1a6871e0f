package jelly

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// InsecureJellyError reports a value that must not be sent or received. Outgoing: a Go value of a type that is not
// transferable. Incoming: a type or class that the taster does not allow or that is not registered; nothing has been
// built from it.
type InsecureJellyError struct {
	// What describes what was refused, why, and what would allow it.
	What string
	// Path is the path to an outgoing value, as in "args[1].Owner.File".
	Path string
	// Offset is the position of an incoming value in the frame.
	Offset int
	// Incoming is set for values that were received.
	Incoming bool
}

func (e *InsecureJellyError) Error() string {
	if e.Incoming {
		return "insecure jelly at byte " + strconv.Itoa(e.Offset) + ": " + e.What
	}
	return e.Path + ": " + e.What
}

// EncodeError reports a value of a transferable type that cannot be sent: it is too long, nested too deeply, or
// invalid.
type EncodeError struct {
	// Path is the path to the value, as in "args[1].Owner.Name".
	Path string
	// What describes the fault and what to do about it.
	What string
	// Err is the cause, if any: a *banana.EncodeError for an exceeded limit, or an error from user code.
	Err error
}

func (e *EncodeError) Error() string {
	switch {
	case e.Err == nil:
		return e.Path + ": " + e.What
	case e.What == "":
		return e.Path + ": " + usercode.ErrorText(e.Err)
	}
	return e.Path + ": " + e.What + ": " + usercode.ErrorText(e.Err)
}

// Unwrap returns the cause.
func (e *EncodeError) Unwrap() error { return e.Err }

// LimitNesting is the Limit of a DecodeError for a value nested deeper than Decoder.Nesting.
const LimitNesting banana.Limit = "nesting"

// DecodeError reports an expression that is not valid Jelly. The rest of the frame was not decoded; the stream
// continues behind the frame.
type DecodeError struct {
	// Offset is the position of the offending element in the frame.
	Offset int
	// What describes the fault.
	What string
	// Limit is the exceeded limit, one of package banana's or LimitNesting; empty if there is none.
	Limit banana.Limit
	// Err is the cause, if any.
	Err error
}

func (e *DecodeError) Error() string {
	s := "jelly: " + e.What + " at byte " + strconv.Itoa(e.Offset)
	if e.Err != nil {
		s += ": " + usercode.ErrorText(e.Err)
	}
	return s
}

// Unwrap returns the cause.
func (e *DecodeError) Unwrap() error { return e.Err }

// ErrTooManyReferences is the cause of a DecodeError if there were more references than Decoder.References.
var ErrTooManyReferences = errors.New("the peer has sent too many references")

// PanicError is a recovered panic of user code: JellyTo, MarshalText, UnmarshalText, ClassEntry.New, SetCopyableState,
// PostUnjelly or PersistentLoad. It is always wrapped in an error that gives the place.
type PanicError struct {
	Value any
	Stack []byte
}

// Error does not include the value or the stack, because errors are sent to peers. Log them instead.
func (e *PanicError) Error() string { return "the code of this type panicked" }

// protect calls f, which runs user code, and returns its panic as a *PanicError.
func protect(f func() error) (err error) {
	if p := usercode.Do(func() { err = f() }); p != nil {
		return &PanicError{Value: p.Value, Stack: p.Stack}
	}
	return err
}

// refuse returns an outgoing refusal without a path, which under adds on the way up.
func refuse(format string, args ...any) error {
	return &InsecureJellyError{What: fmt.Sprintf(format, args...)}
}

// invalid returns an EncodeError without a path.
func invalid(format string, args ...any) error {
	return &EncodeError{What: fmt.Sprintf(format, args...)}
}

// under prepends a step to the path of an error. Paths are built for errors only, so they cost nothing otherwise.
func under(step string, err error) error {
	switch e := err.(type) { //nolint:errorlint // a wrapped one has another call's path; it becomes the cause
	case *InsecureJellyError:
		if !e.Incoming {
			e.Path = joinPath(step, e.Path)
			return e
		}
	case *EncodeError:
		e.Path = joinPath(step, e.Path)
		return e
	}
	return &EncodeError{Path: step, Err: err}
}

// joinPath prepends a step to a path. It cuts the middle out of a long path, so that building it takes linear time.
func joinPath(step, path string) string {
	path = step + path
	const longest, outer, inner = 400, 200, 100
	if len(path) <= longest {
		return path
	}
	return strings.ToValidUTF8(path[:outer], "") + "…" + strings.ToValidUTF8(path[len(path)-inner:], "")
}

func underIndex(i int, err error) error { return under("["+strconv.Itoa(i)+"]", err) }

func underNthKey(i int, err error) error { return under("<key "+strconv.Itoa(i)+">", err) }

func underKey(key any, err error) error {
	if text, ok := textOf(key); ok {
		return under("["+strconv.Quote(clip(text))+"]", err)
	}
	switch key.(type) {
	case int, int64, bool:
		return under("["+Format(key)+"]", err)
	}
	return under(fmt.Sprintf("[a %T]", key), err)
}

// clip shortens text from a peer or a user that an error quotes.
func clip(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}

// shortened shortens the text of a cause: parsers may quote all of their input, which the peer chose.
func shortened(text string) string {
	const most = 1000
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "\uFFFD") + "…"
}

// printable is clip for text that is not quoted: an error must be valid UTF-8 to be sent.
func printable(s string) string { return strings.ToValidUTF8(clip(s), "\uFFFD") }
