package otel

import (
	"context"
	"errors"
	"sync"

	"github.com/perspectivebroker/pb/flavors"
)

// outcome is how a call failed.
type outcome struct {
	kind     string // the type of the exception; empty if the call succeeded
	panicked bool
	unknown  bool // there is no such method
}

// outcomeOf classifies an error. The methods of an error are the application's and may panic.
func outcomeOf(err error) (o outcome) {
	defer func() {
		if recover() != nil {
			o = outcome{kind: flavors.RuntimeError.Name()}
		}
	}()
	o.kind = errorType(err)
	o.panicked = isPanic(err)
	o.unknown = errors.Is(err, flavors.NoSuchMethod)
	return o
}

// errorType returns the type of the exception as which the caller sees an error.
func errorType(err error) string {
	var (
		failure   *flavors.Failure
		exception *flavors.Exception
		raiser    flavors.Raiser
	)
	switch {
	case isPanic(err):
		return flavors.RuntimeError.Name()
	case errors.As(err, &failure) && failure != nil:
		return failure.Type
	case errors.Is(err, context.DeadlineExceeded):
		return flavors.DeadlineExceeded.Name()
	case errors.Is(err, context.Canceled):
		return flavors.Canceled.Name()
	case errors.As(err, &exception) && exception != nil:
		return exception.Name()
	case errors.As(err, &raiser):
		if typ, _ := raiser.PBException(); typ != "" {
			return typ
		}
	}
	return flavors.PlainException.Name()
}

func isPanic(err error) bool {
	var p *flavors.PanicError
	return errors.Is(err, errPanicked) || errors.As(err, &p)
}

// other is the name of what has no name of its own.
const other = "_OTHER"

const (
	maxKinds = 64 // types of exceptions
	maxText  = 80 // bytes of a name that a peer chose
)

// kinds are the types of exceptions that are named in spans and metrics. Peers choose them.
type kinds struct{ known sync.Map }

func (k *kinds) name(kind string) string {
	kind = clip(kind)
	if _, ok := k.known.Load(kind); ok {
		return kind
	}
	n := 0
	k.known.Range(func(any, any) bool { n++; return true })
	if n >= maxKinds {
		return other
	}
	k.known.Store(kind, struct{}{})
	return kind
}
