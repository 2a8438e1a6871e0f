package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
)

// A figure has grown if its median in the last third of the samples exceeds growth times its median in the first third
// plus slack. The first sixth of the samples is warm-up and does not count.
const (
	growth     = 1.2
	heapSlack  = 2 << 20 // bytes
	otherSlack = 16      // goroutines
)

// figure is a value that is sampled from the server.
type figure struct {
	name  string
	value func(sample) float64
	unit  float64 // divisor for printing
	slack float64
}

var (
	heap = figure{
		"heap after collection, KiB", func(s sample) float64 { return float64(s.Heap) }, 1 << 10, heapSlack,
	}
	goroutines = figure{"goroutines", func(s sample) float64 { return float64(s.Goroutines) }, 1, otherSlack}
	actors     = figure{"actors", func(s sample) float64 { return float64(s.Actors) }, 1, 4 * otherSlack}

	// residentMemory is printed but not checked.
	residentMemory = figure{
		name: "resident memory, KiB", value: func(s sample) float64 { return float64(s.Resident) }, unit: 1 << 10,
	}
)

// report prints the results and reports whether all checks succeeded.
func (c *controller) report(out io.Writer) (ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	end := c.samples[len(c.samples)-1]
	// The first peers may take a while to start.
	loaded := slices.Clone(c.samples[:len(c.samples)-1])
	loaded = slices.DeleteFunc(loaded, func(s sample) bool { return s.Served == 0 })
	errs := append(slices.Clone(c.total.Errors), end.Errors...)

	line := func(name string, value any) { fmt.Fprintf(out, "| %-42s | %26v |\n", name, value) }
	line("figure", fmt.Sprintf("%v, seed %d", c.duration, c.seed))
	fmt.Fprintf(out, "|%s|%s|\n", strings.Repeat("-", 44), strings.Repeat("-", 28))
	line("processes of Go peers", c.peers[0])
	line("processes of stock Twisted peers", c.peers[1])
	line("of these killed", c.killed)
	line("connections accepted", end.Accepted)
	line("connections that sent garbage", c.garbage)
	line("calls served", end.Served)
	line("calls of peers that were not killed", c.total.Calls)
	var ended int64
	for _, outcome := range slices.Sorted(maps.Keys(c.total.Ended)) {
		line("  "+outcome, c.total.Ended[outcome])
		ended += c.total.Ended[outcome]
	}
	if ended != c.total.Calls {
		errs = append(errs, fmt.Sprintf("only %d of %d calls ended", ended, c.total.Calls))
	}
	line("logins / logouts", fmt.Sprintf("%d / %d", end.Logins, end.Logouts))
	line("observers added / removed", fmt.Sprintf("%d / %d", end.ObserversAdded, end.ObserversRemoved))

	for _, f := range []figure{heap, goroutines, actors} {
		first, last := f.print(line, loaded, end)
		if last > growth*first+f.slack {
			errs = append(errs, fmt.Sprintf("%s grew from %.0f in the first third to %.0f in the last third",
				f.name, first/f.unit, last/f.unit))
		}
	}
	residentMemory.print(line, loaded, end)
	line("goroutines left after Close", end.LeakedGoroutines)

	if end.Served == 0 || c.total.Ended[answered] == 0 || end.Logins == 0 || end.ObserversAdded == 0 {
		errs = append(errs, "part of the load is missing")
	}
	for _, err := range errs {
		fmt.Fprintln(out, "ERROR:", err)
	}
	verdict := "passed"
	if len(errs) > 0 {
		verdict = "FAILED"
	}
	line("verdict", verdict)
	return len(errs) == 0
}

// print prints the medians of the first and last third, the maximum, and the value after all peers have disconnected.
// It returns the medians.
func (f figure) print(line func(string, any), loaded []sample, end sample) (first, last float64) {
	first, last = f.thirds(loaded)
	peak := 0.0
	for _, s := range loaded {
		peak = max(peak, f.value(s))
	}
	line(f.name+": first, last third", fmt.Sprintf("%.0f, %.0f", first/f.unit, last/f.unit))
	line("  maximum, after all disconnected", fmt.Sprintf("%.0f, %.0f", peak/f.unit, f.value(end)/f.unit))
	return first, last
}

// thirds returns the medians of the first and the last third of the samples after the warm-up.
func (f figure) thirds(loaded []sample) (first, last float64) {
	warm := loaded[len(loaded)/6:]
	third := max(1, len(warm)/3)
	if len(warm) == 0 {
		return 0, 0
	}
	median := func(part []sample) float64 {
		values := make([]float64, len(part))
		for i, s := range part {
			values[i] = f.value(s)
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	return median(warm[:third]), median(warm[len(warm)-third:])
}

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
