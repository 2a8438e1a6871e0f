package main

import (
	"runtime/debug"
	"sync"
	"time"
)

// scavengeAfter is how long no connection must end before memory is returned to the system.
const scavengeAfter = 300 * time.Millisecond

// scavenge returns the memory of a flood to the system. Go's runtime would do so only at its next collection.
type scavenge struct {
	mu    sync.Mutex
	timer *time.Timer
}

func (t *scavenge) soon() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.timer == nil {
		t.timer = time.AfterFunc(scavengeAfter, freeMemory)
		return
	}
	t.timer.Reset(scavengeAfter)
}

// freeMemory collects twice, because pooled buffers survive the first collection.
func freeMemory() {
	debug.FreeOSMemory()
	debug.FreeOSMemory()
}
