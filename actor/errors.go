package actor

import (
	"errors"
	"fmt"
	"strings"

	"github.com/perspectivebroker/pb/internal/usercode"
)

var (
	// ErrStopped is the failure of a continuation or message whose actor has
	// stopped for good before its turn came.
	ErrStopped = errors.New("actor: the actor has stopped; what was meant for it did not run")

	// ErrRestarted is the failure of a continuation that an instance of an actor
	// left behind when it was replaced by a new one.
	ErrRestarted = errors.New("actor: the actor was restarted; the continuation of its former instance did not run")

	// ErrCancelled is the failure of a Deferred that was cancelled.
	ErrCancelled = errors.New("actor: the Deferred was cancelled")

	// ErrCycle is the failure of a Deferred that was to wait for itself.
	ErrCycle = errors.New("actor: the Deferred waits for itself; return a value or another Deferred")

	// ErrNoTurn is the failure of a continuation that was given nothing to run in.
	ErrNoTurn = errors.New("actor: Then needs the context of a running actor; in a plain goroutine use Await")

	// ErrNilContext is the error of what was given a nil context.
	ErrNilContext = errors.New("actor: the context is nil; pass context.Background() to wait without a limit")

	// ErrNilDeferred is the error of a method of a nil *Deferred, and of what was given one.
	ErrNilDeferred = errors.New("actor: the Deferred is nil; make one with NewDeferred, Succeeded or Failed")

	// ErrGoexit is the reason given to the supervisor of an actor whose handler called runtime.Goexit, and how what that
	// handler was to complete fails.
	ErrGoexit = errors.New("actor: the handler ended its goroutine with runtime.Goexit (t.FailNow does); return instead")
)

// PanicError is the failure of a Deferred, or of a call, whose code panicked. Its text does not mention the value,
// because such errors travel to peers; the log has value and stack.
type PanicError struct {
	What  string // what panicked, such as "the method Counter.incr"; empty means a function that has no name
	Value any    // what panic was called with
	Stack []byte // the goroutine's stack at that moment
}

func (e *PanicError) Error() string {
	what := "a function"
	if e != nil && e.What != "" {
		what = e.What
	}
	return "actor: " + what + " panicked; the log has the details"
}

// Unwrap returns the value of the panic when it is an error.
func (e *PanicError) Unwrap() error {
	if e == nil {
		return nil
	}
	err, _ := e.Value.(error)
	return err
}

// StillRunningError is returned by [Runtime.Close] when its context ended
// before everything else did.
type StillRunningError struct {
	Names []string // what is still running, sorted; equal ones are counted
	Cause error    // why Close stopped waiting
}

func (e *StillRunningError) Error() string {
	if e == nil {
		return "actor: close: nothing is still running"
	}
	return fmt.Sprintf("actor: close: %s; still running: %s", usercode.ErrorText(e.Cause), strings.Join(e.Names, ", "))
}

// Unwrap returns the cause: the context's error.
func (e *StillRunningError) Unwrap() error {
	if e == nil {
		return nil
	}
	return e.Cause
}
