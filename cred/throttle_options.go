package cred

import "time"

// Defaults of a Throttle. With them somebody who guesses without a pause has three free attempts, seven in the
// first half minute and then one a minute.
const (
	DefaultFreeFailures = 3
	DefaultFirstDelay   = time.Second
	DefaultMaxDelay     = time.Minute
	DefaultMaxWait      = 30 * time.Second
	DefaultForgetAfter  = 5 * time.Minute
	DefaultMaxKeys      = 10_000
)

// maxCounted keeps the count of failures where doubling and forgetting make sense; the delay has long reached its
// highest value by then.
const maxCounted = 64

// ThrottleOption configures a Throttle. The options are made by the With functions of this package.
type ThrottleOption interface{ applyThrottle(*throttleConfig) }

type throttleConfig struct {
	free     int
	first    time.Duration
	longest  time.Duration
	maxWait  time.Duration
	fadeTime time.Duration
	keys     int
}

type throttleOption func(*throttleConfig)

func (o throttleOption) applyThrottle(c *throttleConfig) { o(c) }

func newThrottleConfig(opts []ThrottleOption) throttleConfig {
	c := throttleConfig{
		DefaultFreeFailures,
		DefaultFirstDelay,
		DefaultMaxDelay,
		DefaultMaxWait,
		DefaultForgetAfter,
		DefaultMaxKeys,
	}
	for _, o := range opts {
		if o != nil {
			o.applyThrottle(&c)
		}
	}
	return c
}

// WithFreeFailures sets how many failures have no consequence. Default: DefaultFreeFailures, 3.
func WithFreeFailures(n int) ThrottleOption {
	return throttleOption(func(c *throttleConfig) { c.free = max(n, 0) })
}

// WithDelays sets the time between attempts: after the first failure that is not free, and the longest that
// doubling leads to. Default: DefaultFirstDelay and DefaultMaxDelay, a second and a minute.
func WithDelays(first, longest time.Duration) ThrottleOption {
	return throttleOption(func(c *throttleConfig) { c.first, c.longest = max(first, 0), max(first, longest, 0) })
}

// WithMaxWait sets how long an attempt waits for its time rather than be refused. Stock peers cannot be told to
// come back later; each that waits costs a goroutine and a connection. 0 refuses at once. Default: DefaultMaxWait,
// 30 seconds.
func WithMaxWait(d time.Duration) ThrottleOption {
	return throttleOption(func(c *throttleConfig) { c.maxWait = max(d, 0) })
}

// WithForgetAfter sets how long after the last failure one is forgotten, and then the next. Default:
// DefaultForgetAfter, five minutes.
func WithForgetAfter(d time.Duration) ThrottleOption {
	return throttleOption(func(c *throttleConfig) { c.fadeTime = max(d, time.Millisecond) })
}

// WithMaxKeys sets how many keys are remembered, at some 250 bytes each and the length of the key. When there are
// more, [Throttle] says which are forgotten. Default: DefaultMaxKeys, 10,000.
func WithMaxKeys(n int) ThrottleOption {
	return throttleOption(func(c *throttleConfig) { c.keys = max(n, 1) })
}

// delay is the time between two attempts when so many have failed.
func (c *throttleConfig) delay(failed int) time.Duration {
	if failed < c.free {
		return 0
	}
	delay := c.first
	for range failed - c.free {
		if delay >= c.longest/2 {
			return c.longest
		}
		delay *= 2
	}
	return min(delay, c.longest)
}

// fade forgets the failures whose time has come.
func (c *throttleConfig) fade(a *attempts, now time.Time) {
	n := min(int(now.Sub(a.faded)/c.fadeTime), a.failed)
	if n > 0 {
		a.failed -= n
		a.faded = a.faded.Add(time.Duration(n) * c.fadeTime)
	}
	if a.failed == 0 {
		a.faded = now
	}
}
