package main

import (
	"runtime"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
)

// RemoteStats says what the process has under way. It collects garbage first, so that references which were forgotten
// are let go.
func (c *Conformance) RemoteStats(inv *flavors.Invocation) (map[string]int, error) {
	conn, ok := inv.Conn().(*broker.Conn)
	if !ok {
		return nil, flavors.RuntimeError.Errorf("a %T has no statistics", inv.Conn())
	}
	giveBack()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	return map[string]int{
		"connections": len(c.server.listener.Conns()),
		"exports":     conn.Stats().Exports,
		"goroutines":  runtime.NumGoroutine(),
		"heap":        int(memory.HeapAlloc),
	}, nil
}
