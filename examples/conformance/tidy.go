package main

import (
	"runtime/debug"
	"sync"
	"time"
)

// tidyAfter is how long it stays quiet after a connection has ended before its memory goes back to the system.
const tidyAfter = 300 * time.Millisecond

// tidy gives back what a flood has left behind. Go's runtime would do so too, when there is next something to collect.
type tidy struct {
	mu    sync.Mutex
	timer *time.Timer
}

func (t *tidy) soon() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.timer == nil {
		t.timer = time.AfterFunc(tidyAfter, giveBack)
		return
	}
	t.timer.Reset(tidyAfter)
}

// giveBack collects twice: buffers that wait to be used again survive the first time.
func giveBack() {
	debug.FreeOSMemory()
	debug.FreeOSMemory()
}
