package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
)

// tally counts what one process, or all of them together, have done. It is printed as JSON.
type tally struct {
	mu sync.Mutex

	Calls       int64            // calls made
	Ended       map[string]int64 // calls that ended, by outcome
	Connections int64            // connections opened
	Refused     int64            // connections that could not be opened
	Broken      int64            // connections that broke
	Avatars     int64            // successful logins
	Errors      []string         // failed checks
}

// maxErrors is the maximum number of errors that are kept.
const maxErrors = 20

func newTally() *tally { return &tally{Ended: map[string]int64{}} }

func (t *tally) errorf(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.Errors) < maxErrors {
		t.Errors = append(t.Errors, fmt.Sprintf(format, args...))
	}
}

func (t *tally) add(to *int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*to++
}

// started counts a call. The returned function must be called when the call ends; it reports an error if it is called
// twice.
func (t *tally) started(method string) (ended func(err error)) {
	t.add(&t.Calls)
	var mu sync.Mutex
	times := 0
	return func(err error) {
		mu.Lock()
		times++
		n := times
		mu.Unlock()
		if n > 1 {
			t.errorf("a call of %s ended %d times", method, n)
			return
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		t.Ended[outcome(err)]++
	}
}

// merge adds the tally of another process.
func (t *tally) merge(o *tally) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.Calls += o.Calls
	t.Connections += o.Connections
	t.Refused += o.Refused
	t.Broken += o.Broken
	t.Avatars += o.Avatars
	for outcome, n := range o.Ended {
		t.Ended[outcome] += n
	}
	t.Errors = append(t.Errors, o.Errors...)
}

// answered is the outcome of a successful call.
const answered = "answered"

// outcome classifies how a call ended.
func outcome(err error) string {
	var failure *flavors.Failure
	switch {
	case err == nil:
		return answered
	case errors.Is(err, broker.Busy):
		return "refused: busy"
	case errors.Is(err, broker.ErrBackedUp), errors.Is(err, broker.ErrTooManyCalls):
		return "refused locally: backlog"
	case errors.Is(err, flavors.DeadReference):
		return "dead reference"
	case errors.Is(err, flavors.ConnectionLost):
		return "connection lost"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, actor.ErrCancelled):
		return "cancelled"
	case errors.As(err, &failure):
		return "failed remotely"
	default:
		return "failed locally"
	}
}
