package banana

import (
	"fmt"
	"io"
)

// Limit names a field of Limits in an error.
type Limit string

// The limits that can be broken.
const (
	LimitPrefix Limit = "prefix"
	LimitString Limit = "string"
	LimitList   Limit = "list"
	LimitDepth  Limit = "depth"
	LimitFrame  Limit = "frame"
)

// unit returns what the limit counts.
func (l Limit) unit() string {
	switch l {
	case LimitList:
		return "elements"
	case LimitDepth:
		return "levels"
	}
	return "bytes"
}

// anotherProtocol is the advice where the bytes do not look like Banana.
const anotherProtocol = "the peer may be speaking another protocol, such as HTTP or TLS"

// SyntaxError reports that received bytes are not Banana. What follows cannot be decoded either: close the connection.
type SyntaxError struct {
	// Offset is the start of the offending element, in bytes from the start of its top-level expression.
	Offset int
	// What describes the fault.
	What string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("banana: %s, at byte %d of the expression", e.What, e.Offset)
}

// LimitError reports that received bytes exceed one of the [Limits]. Nothing has been decoded from them: close the
// connection, or raise the limit.
type LimitError struct {
	// Limit names the field of Limits that was exceeded; Max is its value.
	Limit Limit
	Max   int
	// Offset is the start of the offending element, in bytes from the start of its top-level expression.
	Offset int
	// Seen is the beginning of an expression whose first header is too long, which usually shows the protocol that
	// the peer speaks. It is empty for other errors.
	Seen string
}

func (e *LimitError) Error() string {
	switch {
	case e.Limit == LimitPrefix && e.Seen != "":
		return fmt.Sprintf("banana: no type byte within %d bytes of prefix, the peer sent %q…: %s",
			e.Max, e.Seen, anotherProtocol)
	case e.Limit == LimitPrefix:
		return fmt.Sprintf("banana: no type byte within %d bytes of prefix, at byte %d of the expression",
			e.Max, e.Offset)
	case e.Limit == LimitFrame:
		return fmt.Sprintf("banana: the expression needs more than %d bytes (limit %q), seen at its byte %d",
			e.Max, e.Limit, e.Offset)
	case e.Limit == LimitDepth:
		return fmt.Sprintf("banana: lists are nested more than %d levels deep (limit %q), at byte %d of the expression",
			e.Max, e.Limit, e.Offset)
	}
	return fmt.Sprintf("banana: a %s of more than %d %s (limit %q), at byte %d of the expression",
		e.Limit, e.Max, e.Limit.unit(), e.Limit, e.Offset)
}

// TruncatedError reports that an expression ends before it is complete. It unwraps to io.ErrUnexpectedEOF.
type TruncatedError struct {
	// Offset is the start of the incomplete element.
	Offset int
}

func (e *TruncatedError) Error() string {
	return fmt.Sprintf("banana: the expression ends within the element at byte %d", e.Offset)
}

// Unwrap returns io.ErrUnexpectedEOF.
func (e *TruncatedError) Unwrap() error { return io.ErrUnexpectedEOF }

// withinExpression returns a TruncatedError for io.EOF, and err otherwise.
func withinExpression(err error, offset int) error {
	if err == io.EOF {
		return &TruncatedError{Offset: offset}
	}
	return err
}

// EncodeError reports a value that was not sent because it exceeds what the peer accepts.
type EncodeError struct {
	// Limit names the exceeded limit; it is LimitPrefix for an integer.
	Limit Limit
	// Size is the value's size and Max the limit: in bits for an integer, otherwise in the unit of the field of
	// Limits.
	Size, Max int
}

func (e *EncodeError) Error() string {
	switch e.Limit {
	case LimitPrefix:
		return fmt.Sprintf("banana: cannot send an integer of %d bits: at most %d fit; send it as a string", e.Size, e.Max)
	case LimitString:
		return fmt.Sprintf("banana: cannot send a string of %d bytes: peers accept at most %d; send it in pieces",
			e.Size, e.Max)
	case LimitList:
		return fmt.Sprintf("banana: cannot send a list of %d elements: peers accept at most %d; send it in pieces",
			e.Size, e.Max)
	case LimitDepth:
		return fmt.Sprintf("banana: cannot send lists nested %d levels deep: at most %d are allowed; flatten the value",
			e.Size, e.Max)
	}
	return fmt.Sprintf("banana: cannot send an expression of %d bytes: at most %d are allowed; send it in pieces",
		e.Size, e.Max)
}
