package conformance

import (
	"runtime"
	"sync"
	"weak"

	"github.com/perspectivebroker/pb/flavors"
)

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

// counters holds weak pointers to the Counters, so it does not keep them alive.
type counters struct {
	mu       sync.Mutex
	counters map[weak.Pointer[Counter]]struct{}
}

func (s *counters) add(c *Counter) {
	entry := weak.Make(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counters == nil {
		s.counters = map[weak.Pointer[Counter]]struct{}{}
	}
	s.counters[entry] = struct{}{}
	runtime.AddCleanup(c, s.remove, entry)
}

func (s *counters) remove(entry weak.Pointer[Counter]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.counters, entry)
}

// live returns the number of counters that a peer holds or that are on their way to one.
func (s *counters) live() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for entry := range s.counters {
		c := entry.Value()
		if c == nil {
			continue
		}
		if now, ever := c.Held(); now || !ever {
			n++
		}
	}
	return n
}
