package supervision

import (
	"math"
	"math/rand/v2"
	"time"
)

// Backoff says how long to wait before another attempt: Min before the first one, longer by Factor
// each time, Max at the most.
type Backoff struct {
	Min    time.Duration // default 100 ms
	Max    time.Duration // default 30 s
	Factor float64       // default 2; at least 1
	Jitter float64       // how much of the delay is left to chance, from 0 to 1: with 0.3 it is 70 to 100 % of what it would be
}

// The defaults of Backoff.
const (
	DefaultBackoffMin    = 100 * time.Millisecond
	DefaultBackoffMax    = 30 * time.Second
	DefaultBackoffFactor = 2.0
)

func (b Backoff) withDefaults() Backoff {
	if b.Min <= 0 {
		b.Min = DefaultBackoffMin
	}
	if b.Max <= 0 {
		b.Max = DefaultBackoffMax
	}
	b.Max = max(b.Max, b.Min)
	if !(b.Factor >= 1) { // NaN included
		b.Factor = DefaultBackoffFactor
	}
	if !(b.Jitter >= 0) {
		b.Jitter = 0
	}
	b.Jitter = min(b.Jitter, 1)
	return b
}

// Delay returns how long to wait before the attempt with this number, from 1 on. rnd returns
// numbers from 0 up to 1; nil stands for math/rand. Fields that are zero or make no sense have their defaults.
func (b Backoff) Delay(attempt int, rnd func() float64) time.Duration {
	b = b.withDefaults()
	delay := float64(b.Min) * math.Pow(b.Factor, float64(max(attempt, 1)-1))
	delay = min(delay, float64(b.Max)) // also where Pow is infinite
	if b.Jitter > 0 {
		if rnd == nil {
			rnd = rand.Float64
		}
		delay -= delay * b.Jitter * rnd()
	}
	return time.Duration(delay)
}
