package main

import "github.com/perspectivebroker/pb/flavors"

// Counter is passed by reference. It lives as long as a peer holds it.
type Counter struct {
	flavors.Referenceable
	n int64
}

// PublishMethods gives incr's parameter its default.
func (*Counter) PublishMethods(flavors.Prefix) flavors.MethodSet {
	return flavors.Methods(flavors.Publish("incr", "RemoteIncr", "n=1"))
}

// Reset begins a restart by the supervisor: a counter that panicked starts at zero.
func (c *Counter) Reset() { c.n = 0 }

// RemoteIncr adds n and returns the new value.
func (c *Counter) RemoteIncr(n int64) int64 {
	c.n += n
	return c.n
}

// RemoteValue returns the value.
func (c *Counter) RemoteValue() int64 { return c.n }

// RemoteSelf returns the counter itself.
func (c *Counter) RemoteSelf() *Counter { return c }

// RemoteBoom panics: the caller gets an error, and the reference stays good.
func (*Counter) RemoteBoom() {
	panic("boom") //nolint:forbidigo // that is what it is asked for
}

// RemoteCounter returns a new counter.
func (c *Conformance) RemoteCounter() *Counter {
	counter := &Counter{}
	c.server.counters.add(counter)
	return counter
}

// RemoteCounters returns the number of counters that the peers of this process hold.
func (c *Conformance) RemoteCounters() int { return c.server.counters.live() }
