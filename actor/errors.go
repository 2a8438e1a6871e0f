package actor

import (
	"errors"
	"fmt"
	"strings"

	"github.com/perspectivebroker/pb/internal/usercode"
)

var (
	// ErrStopped is the failure of a continuation or message whose actor stopped before handling it.
	ErrStopped = errors.New("actor: the actor has stopped; what was meant for it did not run")

	// ErrRestarted is the failure of a continuation whose actor instance was replaced before it ran.
	ErrRestarted = errors.New("actor: the actor was restarted; the continuation of its former instance did not run")

	// ErrCancelled is the failure of a Deferred that was cancelled.
	ErrCancelled = errors.New("actor: the Deferred was cancelled")

	// ErrCycle is the failure of a Deferred that would wait for itself.
	ErrCycle = errors.New("actor: the Deferred waits for itself; return a value or another Deferred")

	// ErrNoTurn is the failure of a continuation that was given no actor to run in.
	ErrNoTurn = errors.New("actor: Then needs the context of a running actor; in a plain goroutine use Await")

	// ErrNilContext is returned by functions that were given a nil context.
	ErrNilContext = errors.New("actor: the context is nil; pass context.Background() to wait without a limit")

	// ErrNilDeferred is returned by methods of a nil *Deferred and by functions that were given one.
	ErrNilDeferred = errors.New("actor: the Deferred is nil; make one with NewDeferred, Succeeded or Failed")

	// ErrGoexit is the failure reported to the supervisor if a handler calls runtime.Goexit. It is also the failure of the
	// Deferred that the handler was to complete.
	ErrGoexit = errors.New("actor: the handler ended its goroutine with runtime.Goexit (t.FailNow does); return instead")
)

// PanicError is the failure of a Deferred or a call whose code panicked. Its text omits the value of the panic, because
// such errors are sent to peers. The log has the value and the stack.
type PanicError struct {
	What  string // what panicked, such as "the method Counter.incr"; empty for an unnamed function
	Value any    // the value passed to panic
	Stack []byte // the goroutine's stack
}

func (e *PanicError) Error() string {
	what := "a function"
	if e != nil && e.What != "" {
		what = e.What
	}
	return "actor: " + what + " panicked; the log has the details"
}

// Unwrap returns the value of the panic if it is an error.
func (e *PanicError) Unwrap() error {
	if e == nil {
		return nil
	}
	err, _ := e.Value.(error)
	return err
}

// StillRunningError is returned by [Runtime.Close] if its context ended first.
type StillRunningError struct {
	Names []string // what still runs, sorted; duplicates are counted
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
