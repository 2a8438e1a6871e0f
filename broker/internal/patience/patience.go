package patience

import (
	"sync"
	"time"
)

const (
	// Steps is the number of steps of a wait.
	Steps = 8
	// shortest is the minimum length of a step. The delays of a busy machine would make shorter steps look like pauses.
	shortest = 10 * time.Millisecond
	// maxPauses is how many late steps of a wait do not count. Further ones do, since a wait must end even on a machine so
	// busy that every step is late.
	maxPauses = 3 * Steps
)

// Count adds up the time of a wait. The zero Count has not waited yet.
type Count struct {
	waited time.Duration
	pauses int
}

// Add counts a step that took elapsed instead of planned. It reports false if the step does not count because the
// process was paused.
func (c *Count) Add(planned, elapsed time.Duration) bool {
	if elapsed > planned+max(planned/2, shortest/2) && c.pauses < maxPauses {
		c.pauses++
		return false
	}
	c.waited += min(planned, elapsed)
	return true
}

// Left returns how much of limit is left to wait.
func (c *Count) Left(limit time.Duration) time.Duration { return limit - c.waited }

// Step returns the length of the next step of a wait of limit, or 0 when the wait is over.
func (c *Count) Step(limit time.Duration) time.Duration {
	return max(0, min(max(limit/Steps, shortest), c.Left(limit)))
}

// Timer is like the timer of [time.AfterFunc], but does not count pauses of the process.
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

// AfterFunc calls f in its own goroutine when the process has run for d.
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

// Stop prevents the call of f, unless it was made already. It does nothing on a nil Timer.
func (t *Timer) Stop() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
	t.timer.Stop()
}
