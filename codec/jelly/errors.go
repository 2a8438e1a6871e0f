package jelly

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// InsecureJellyError says that something must not cross. Outgoing: a Go value
// that is no transferable type; Path leads to it. Incoming: a type or class
// that the taster refuses or that nobody registered; Offset says where in the
// frame it stands. Nothing has been built from it.
type InsecureJellyError struct {
	// What says what was refused, why, and what would allow it.
	What string
	// Path leads to the value, as in "args[1].Owner.File". Empty on the receiving side.
	Path string
	// Offset is the place in the frame, on the receiving side.
	Offset int
	// Incoming tells the two sides apart.
	Incoming bool
}

func (e *InsecureJellyError) Error() string {
	if e.Incoming {
		return "insecure jelly at byte " + strconv.Itoa(e.Offset) + ": " + e.What
	}
	return e.Path + ": " + e.What
}

// EncodeError says that a value has a transferable type but cannot be sent:
// it is too long, too deep, or not valid.
type EncodeError struct {
	// Path leads to the value, as in "args[1].Owner.Name".
	Path string
	// What says what is wrong and what to do about it.
	What string
	// Err is the cause if there is one: a *banana.EncodeError for a broken
	// limit, or what a value's own JellyTo returned.
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

// LimitNesting is the Limit of a DecodeError for a value that is nested deeper than Decoder.Nesting.
const LimitNesting banana.Limit = "nesting"

// DecodeError says that an expression is not Jelly. The rest of the frame has
// not been looked at, but the stream goes on behind it.
type DecodeError struct {
	// Offset is where the offending element stands in the frame.
	Offset int
	// What says what is wrong.
	What string
	// Limit is the limit that was broken, one of package banana's or LimitNesting; empty if it was none.
	Limit banana.Limit
	// Err is the cause, if it has one.
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

// ErrTooManyReferences is the cause of a DecodeError when more references came than Decoder.References.
var ErrTooManyReferences = errors.New("the peer has sent more references than are taken")

// PanicError is the panic of a user's method or function that was called to write, read or make a value: JellyTo,
// MarshalText, UnmarshalText, ClassEntry.New, SetCopyableState or PostUnjelly. It is always wrapped in an error that
// says where that was.
type PanicError struct {
	Value any
	Stack []byte
}

// Error does not show the value or the stack, because errors are sent to peers. Log them.
func (e *PanicError) Error() string { return "the code of this type panicked" }

// refuse is the beginning of an outgoing refusal: the path is added on the way up.
func refuse(format string, args ...any) error {
	return &InsecureJellyError{What: fmt.Sprintf(format, args...)}
}

// invalid is the beginning of an EncodeError.
func invalid(format string, args ...any) error {
	return &EncodeError{What: fmt.Sprintf(format, args...)}
}

// under puts a step in front of the path of an error that comes from below. Paths are only
// built for errors, so that values which can be sent pay nothing for them.
func under(step string, err error) error {
	switch e := err.(type) { //nolint:errorlint // a wrapped one has the path of another call; it becomes the cause
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

// joinPath puts a step in front of a path. A path that grows long loses its middle: the text of an error is for people,
// and making it must not take longer than what failed.
func joinPath(step, path string) string {
	path = step + path
	const longest, outer, inner = 400, 200, 100
	if len(path) <= longest {
		return path
	}
	return strings.ToValidUTF8(path[:outer], "") + "…" + strings.ToValidUTF8(path[len(path)-inner:], "")
}

func underIndex(i int, err error) error { return under("["+strconv.Itoa(i)+"]", err) }

func underKey(key any, err error) error {
	switch k := key.(type) {
	case string:
		return under("["+strconv.Quote(clip(k))+"]", err)
	case []byte:
		return under("["+strconv.Quote(clip(string(k)))+"]", err)
	case int, int64, bool:
		return under("["+Format(k)+"]", err)
	}
	return under(fmt.Sprintf("[a %T]", key), err)
}

// clip shortens what a peer or a user wrote, to be quoted in an error text.
func clip(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}

// shortened cuts the text of a cause. Parsers like to quote all that they were given, which a peer chose.
func shortened(text string) string {
	const most = 1000
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "\uFFFD") + "…"
}

// printable is clip for text that will not be quoted: an error's text must be valid UTF-8 to be sent.
func printable(s string) string { return strings.ToValidUTF8(clip(s), "\uFFFD") }
