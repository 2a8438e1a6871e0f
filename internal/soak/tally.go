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

// tally is what one program, or all of them together, has done.
type tally struct {
	mu sync.Mutex

	Calls       int64            // made
	Ended       map[string]int64 // calls, by how
	Connections int64            // made
	Refused     int64            // connections that did not come about
	Broken      int64            // connections that ended by themselves
	Avatars     int64            // got by logging in
	Wrong       []string         // what must not happen
}

// worst is how much of what went wrong is kept; the number of the rest is enough.
const worst = 20

func newTally() *tally { return &tally{Ended: map[string]int64{}} }

func (t *tally) wrong(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.Wrong) < worst {
		t.Wrong = append(t.Wrong, fmt.Sprintf(format, args...))
	}
}

func (t *tally) add(to *int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*to++
}

// made counts a call; the function that it returns is to be called when that has ended, and finds out when it does twice.
func (t *tally) made(what string) (ended func(err error)) {
	t.add(&t.Calls)
	var mu sync.Mutex
	times := 0
	return func(err error) {
		mu.Lock()
		times++
		n := times
		mu.Unlock()
		if n > 1 {
			t.wrong("%s ended %d times", what, n)
			return
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		t.Ended[reason(err)]++
	}
}

// merge adds what another program has reported.
func (t *tally) merge(o *tally) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.Calls += o.Calls
	t.Connections += o.Connections
	t.Refused += o.Refused
	t.Broken += o.Broken
	t.Avatars += o.Avatars
	for why, n := range o.Ended {
		t.Ended[why] += n
	}
	t.Wrong = append(t.Wrong, o.Wrong...)
}

// answered, then the ways in which calls fail.
const answered = "answered"

// reason sorts the ways in which a call ends.
func reason(err error) string {
	var failure *flavors.Failure
	switch {
	case err == nil:
		return answered
	case errors.Is(err, broker.Busy):
		return "refused: busy"
	case errors.Is(err, broker.ErrBackedUp), errors.Is(err, broker.ErrTooManyCalls):
		return "refused here: too much waits"
	case errors.Is(err, flavors.DeadReference):
		return "dead reference"
	case errors.Is(err, flavors.ConnectionLost):
		return "connection lost"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, actor.ErrCancelled):
		return "cancelled"
	case errors.As(err, &failure):
		return "the peer's failure"
	default:
		return "failed here"
	}
}
