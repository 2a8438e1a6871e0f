package history

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Outcome is how a call ended for its caller.
type Outcome string

const (
	// Answered is the outcome of a call with a value.
	Answered Outcome = "answered"
	// Refused is the outcome of a call that failed and was certainly not carried out.
	Refused Outcome = "refused"
	// Lost is the outcome of a call that failed, or has no outcome yet, and may have been carried out.
	Lost Outcome = "lost"
)

// Call is one call to a counter, as its caller saw it. The calls of one caller are in the order in which it made
// them.
type Call struct {
	Caller, Object string
	// By is what the counter was to be increased by. No two calls of a history have the same, so it names the call.
	By         int64
	Begin, End time.Time
	Outcome    Outcome
	// Value is the answer, if Outcome is Answered.
	Value int64
}

// Life names an activation of an object. A later one has a greater Token, or the same and a greater Number.
type Life struct {
	Node string
	// Token is the fencing token that the activation got.
	Token int64
	// Number counts the activations of one process.
	Number int64
}

func (l Life) String() string { return fmt.Sprintf("%s/%d/%d", l.Node, l.Token, l.Number) }

func (l Life) compare(other Life) int {
	return cmp.Or(cmp.Compare(l.Token, other.Token), cmp.Compare(l.Number, other.Number), cmp.Compare(l.Node, other.Node))
}

// Run is one execution of a call, as the object logged it. The runs of one life are in the order of the log.
type Run struct {
	Object    string
	Life      Life
	By, Value int64
	At        time.Time
}

// History is what happened.
type History struct {
	Calls []Call
	Runs  []Run
}

// Check returns what contradicts the promises, in plain text; nothing if they were kept.
func (h *History) Check() []string {
	c := &check{calls: map[int64]*Call{}, runs: map[int64][]*Run{}}
	for i := range h.Calls {
		call := &h.Calls[i]
		if c.calls[call.By] != nil {
			c.fault("the history has two calls by %d", call.By)
		}
		c.calls[call.By] = call
	}
	for i := range h.Runs {
		run := &h.Runs[i]
		c.runs[run.By] = append(c.runs[run.By], run)
	}
	c.outcomes(h.Calls)
	c.strangers()
	c.lives(h.Runs)
	c.order(h.Calls)
	return c.faults
}

type check struct {
	calls  map[int64]*Call
	runs   map[int64][]*Run
	faults []string
}

func (c *check) fault(format string, args ...any) {
	c.faults = append(c.faults, fmt.Sprintf(format, args...))
}

// outcomes compares each call with its executions.
func (c *check) outcomes(calls []Call) {
	for i := range calls {
		call := &calls[i]
		runs := c.runs[call.By]
		switch {
		case len(runs) > 1:
			c.fault("%s: the call by %d was carried out %d times: %v, %v, …", call.Object, call.By, len(runs), runs[0].Life,
				runs[1].Life)
			continue
		case len(runs) == 0 && call.Outcome == Answered:
			c.fault("%s: the call by %d was answered and never carried out", call.Object, call.By)
			continue
		case len(runs) == 0:
			continue
		}
		run := runs[0]
		switch {
		case run.Object != call.Object:
			c.fault("%s: the call by %d was carried out by %s", call.Object, call.By, run.Object)
		case call.Outcome == Refused:
			c.fault("%s: the call by %d was carried out by %v, and its caller was told that it was not", call.Object, call.By,
				run.Life)
		case run.At.Before(call.Begin):
			c.fault("%s: the call by %d was carried out before it was made", call.Object, call.By)
		case call.Outcome != Answered:
		case run.Value != call.Value:
			c.fault("%s: the call by %d was answered %d, and the counter was %d", call.Object, call.By, call.Value, run.Value)
		case run.At.After(call.End):
			c.fault("%s: the call by %d was carried out after its answer", call.Object, call.By)
		}
	}
}

func (c *check) strangers() {
	for by, runs := range c.runs {
		if c.calls[by] == nil {
			c.fault("%s: %v carried out a call by %d that nobody made", runs[0].Object, runs[0].Life, by)
		}
	}
}

// lives checks the counters within each activation, and that no two of one object overlap.
func (c *check) lives(all []Run) {
	objects := map[string]map[Life][]Run{}
	for _, r := range all {
		if objects[r.Object] == nil {
			objects[r.Object] = map[Life][]Run{}
		}
		objects[r.Object][r.Life] = append(objects[r.Object][r.Life], r)
	}
	for object, lives := range objects {
		var sorted []Life
		for life, runs := range lives {
			sorted = append(sorted, life)
			c.counter(object, life, runs)
		}
		slices.SortFunc(sorted, Life.compare)
		for i := 1; i < len(sorted); i++ {
			c.apart(object, sorted[i-1], lives[sorted[i-1]], sorted[i], lives[sorted[i]])
		}
	}
}

func (c *check) counter(object string, life Life, runs []Run) {
	var value int64
	for i, r := range runs {
		if value += r.By; r.Value != value {
			c.fault("%s: %v had %d after the call by %d, want %d", object, life, r.Value, r.By, value)
			return
		}
		if i > 0 && r.At.Before(runs[i-1].At) {
			c.fault("%s: the log of %v goes back in time", object, life)
		}
	}
}

// apart checks that one activation had ended when the next began.
func (c *check) apart(object string, a Life, before []Run, b Life, after []Run) {
	if a.Token == b.Token && a.Node != b.Node {
		c.fault("%s: %v and %v have the same token", object, a, b)
	}
	if last, first := before[len(before)-1], after[0]; last.At.After(first.At) {
		c.fault("%s: two lived at a time: %v carried out a call at %v, %v after %v had begun at %v", object, a,
			last.At.Format(time.RFC3339Nano), last.At.Sub(first.At), b, first.At.Format(time.RFC3339Nano))
	}
}

// order checks that calls of one caller to one object were carried out in the order in which they were made.
func (c *check) order(calls []Call) {
	type pair struct{ caller, object string }
	last := map[pair]*Run{}
	for i := range calls {
		call := &calls[i]
		runs := c.runs[call.By]
		if len(runs) != 1 {
			continue // Not carried out, or a fault already.
		}
		key := pair{call.Caller, call.Object}
		run, earlier := runs[0], last[key]
		if earlier != nil && (run.Life.compare(earlier.Life) < 0 || run.At.Before(earlier.At)) {
			c.fault("%s: %s made the call by %d first, and that by %d was carried out first", call.Object, call.Caller,
				earlier.By, run.By)
		}
		last[key] = run
	}
}
