package boottime

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Now returns the time since the machine was started.
func Now() time.Duration { return machine.at(time.Now()) }

var machine = clock{read: read, since: func() time.Duration { return time.Since(start) }}

var start = time.Now()

// clock saves most of the system calls: each costs as much as a sizeable part of a call to a placed object. Between two
// of them the monotonic clock tells the time, unless the machine slept: then the wall clock has gone on without it.
type clock struct {
	read  func() time.Duration
	since func() time.Duration // the monotonic clock
	last  atomic.Pointer[reading]
}

// reading is the time on three clocks at one moment.
type reading struct{ boot, monotonic, wall time.Duration }

const (
	longestReading = 10 * time.Millisecond // after which the clock is read again in any case
	shortestSleep  = time.Millisecond      // shorter ones do not count
)

func (c *clock) at(now time.Time) time.Duration {
	return c.when(now.Sub(start), time.Duration(now.UnixNano()))
}

func (c *clock) when(monotonic, wall time.Duration) time.Duration {
	if r := c.last.Load(); r != nil {
		since := monotonic - r.monotonic
		slept := wall - r.wall - since
		if 0 <= since && since < longestReading && -shortestSleep < slept && slept < shortestSleep {
			return r.boot + since
		}
	}
	r := &reading{c.read(), monotonic, wall}
	if c.since()-monotonic < shortestSleep { // Otherwise these are not the clocks of one moment.
		c.last.Store(r)
	}
	return r.boot
}

func read() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return 0 // Every Linux that Go runs on has the clock.
	}
	return time.Duration(ts.Nano())
}
