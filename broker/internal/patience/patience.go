package patience

import (
	"sync"
	"time"
)

const (
	// Steps is how many steps a wait has.
	Steps = 8
	// shortest is the length of a step at least: below it the lateness of any busy machine would be taken for a pause.
	shortest = 10 * time.Millisecond
	// maxPauses is how many late steps of one wait are not counted. From then on they are: a machine may be so busy that
	// every step is late, and a peer that is gone must be given up there too.
	maxPauses = 3 * Steps
)

// Count adds up the time of one wait. The zero value has not waited yet.
type Count struct {
	waited time.Duration
	pauses int
}

// Add counts a step that was to take planned and took elapsed. It reports false if the step is not counted because the
// process was paused.
func (c *Count) Add(planned, elapsed time.Duration) bool {
	if elapsed > planned+max(planned/2, shortest/2) && c.pauses < maxPauses {
		c.pauses++
		return false
	}
	c.waited += min(planned, elapsed)
	return true
}

// Left is how much of limit has not been waited.
func (c *Count) Left(limit time.Duration) time.Duration { return limit - c.waited }

// Step is how long the next step of a wait of limit is to be; 0 when the wait is over.
func (c *Count) Step(limit time.Duration) time.Duration {
	return max(0, min(max(limit/Steps, shortest), c.Left(limit)))
}

// Timer calls a function when it has waited for long enough, like the one of [time.AfterFunc].
type Timer struct {
	limit time.Duration
	f     func()

	mu sync.Mutex
	// Guarded by mu.
	count   Count
	planned time.Duration
	since   time.Time // when the step began
	timer   *time.Timer
	stopped bool
}

// AfterFunc calls f in a goroutine of its own when the process has run for d.
func AfterFunc(d time.Duration, f func()) *Timer {
	t := &Timer{limit: d, f: f, since: time.Now()}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.planned = t.count.Step(d)
	t.timer = time.AfterFunc(t.planned, t.tick)
	return t
}

func (t *Timer) tick() {
	t.mu.Lock()
	now := time.Now()
	t.count.Add(t.planned, now.Sub(t.since))
	t.since, t.planned = now, t.count.Step(t.limit)
	over := t.planned == 0
	if !over && !t.stopped {
		t.timer.Reset(t.planned)
	}
	call := over && !t.stopped
	t.mu.Unlock()
	if call {
		t.f()
	}
}

// Stop keeps f from being called, unless it has been. A nil Timer has nothing to stop.
func (t *Timer) Stop() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
	t.timer.Stop()
}
