package main

import (
	"runtime"

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
