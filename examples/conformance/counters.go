package main

import (
	"runtime"
	"sync"
	"weak"
)

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
