package main

import (
	"runtime"
	"sync"
	"weak"
)

// census knows the counters without keeping them alive.
type census struct {
	mu       sync.Mutex
	counters map[weak.Pointer[Counter]]struct{}
}

func (s *census) add(c *Counter) {
	entry := weak.Make(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counters == nil {
		s.counters = map[weak.Pointer[Counter]]struct{}{}
	}
	s.counters[entry] = struct{}{}
	runtime.AddCleanup(c, s.remove, entry)
}

func (s *census) remove(entry weak.Pointer[Counter]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.counters, entry)
}

// living counts those that a peer holds, or that are still on their way to the first one.
func (s *census) living() int {
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
