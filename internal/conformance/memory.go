package conformance

import (
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
)

// RemoteStats returns figures about the process. It collects garbage first, so that unused references are released.
func (c *Conformance) RemoteStats(inv *flavors.Invocation) (map[string]int, error) {
	conn, ok := inv.Conn().(*broker.Conn)
	if !ok {
		return nil, flavors.RuntimeError.Errorf("a %T has no statistics", inv.Conn())
	}
	freeMemory()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	return map[string]int{
		"connections": len(c.server.listener.Conns()),
		"exports":     conn.Stats().Exports,
		"goroutines":  runtime.NumGoroutine(),
		"heap":        int(memory.HeapAlloc),
	}, nil
}

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
