package main

import "github.com/perspectivebroker/pb/flavors"

// Counter is handed out by reference. It lives as long as a peer holds it.
type Counter struct {
	flavors.Referenceable
	n int64
}

// PublishMethods gives incr its default.
func (*Counter) PublishMethods(flavors.Prefix) flavors.MethodSet {
	return flavors.Methods(flavors.Publish("incr", "RemoteIncr", "n=1"))
}

// Reset is how the supervisor's restart begins: a counter that has panicked starts anew.
func (c *Counter) Reset() { c.n = 0 }

// RemoteIncr adds n and answers with the new value.
func (c *Counter) RemoteIncr(n int64) int64 {
	c.n += n
	return c.n
}

// RemoteValue is the value now.
func (c *Counter) RemoteValue() int64 { return c.n }

// RemoteSelf answers with the same reference that it was called by.
func (c *Counter) RemoteSelf() *Counter { return c }

// RemoteBoom panics: its caller gets an error, and the reference stays good.
func (*Counter) RemoteBoom() {
	panic("boom") //nolint:forbidigo // that is what it is asked for
}

// RemoteCounter makes a new counter.
func (c *Conformance) RemoteCounter() *Counter {
	counter := &Counter{}
	c.server.census.add(counter)
	return counter
}

// RemoteCounters is how many counters the peers of this process hold.
func (c *Conformance) RemoteCounters() int { return c.server.census.living() }
