package boottime

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// TestClock: the clock is read now and then, and at once after the machine has slept.
func TestClock(t *testing.T) {
	boot, reads := time.Hour, 0
	var now, took time.Duration
	c := clock{read: func() time.Duration { reads++; return boot }, since: func() time.Duration { return now + took }}
	when := func(monotonic, wall time.Duration) time.Duration {
		now = monotonic
		return c.when(monotonic, wall)
	}
	const wall = 1000 * time.Hour
	assert.Equal(t, time.Hour, when(0, wall))
	assert.Equal(t, time.Hour+time.Millisecond, when(time.Millisecond, wall+time.Millisecond))
	assert.Equal(t, 1, reads)

	boot += time.Minute // The monotonic clock has stood still meanwhile.
	assert.Equal(t, time.Hour+time.Minute, when(2*time.Millisecond, wall+time.Minute))
	assert.Equal(t, 2, reads)
	assert.Equal(t, time.Hour+time.Minute+time.Millisecond, when(3*time.Millisecond, wall+time.Minute+time.Millisecond))
	assert.Equal(t, 2, reads)

	when(4*time.Millisecond, wall) // The wall clock was set back.
	assert.Equal(t, 3, reads)
	when(4*time.Millisecond+longestReading, wall+longestReading)
	assert.Equal(t, 4, reads)
	when(0, wall) // by a goroutine that asked earlier
	assert.Equal(t, 5, reads)

	took = shortestSleep // The process was stopped between the clocks.
	assert.Equal(t, boot, when(20*time.Millisecond, wall))
	assert.Equal(t, boot, when(21*time.Millisecond, wall+time.Millisecond))
	assert.Equal(t, 7, reads)
}

// TestNow: the time is that of the clock, give or take what passes between two calls.
func TestNow(t *testing.T) {
	for range 100_000 {
		before := read()
		now := Now()
		after := read()
		assert.LessOrEqual(t, before-shortestSleep, now)
		assert.GreaterOrEqual(t, after+shortestSleep, now)
		if t.Failed() {
			return
		}
	}
}

func BenchmarkNow(b *testing.B) {
	for b.Loop() {
		Now()
	}
}
