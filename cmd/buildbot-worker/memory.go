//go:build unix

package main

import (
	"runtime"

	"github.com/rs/zerolog"
)

// logMemory logs the size of the heap and the number of goroutines. It collects garbage first, so that two results can
// be compared.
func logMemory(log *zerolog.Logger) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	log.Info().
		Uint64("heap", m.HeapAlloc).
		Uint64("objects", m.HeapObjects).
		Int("goroutines", runtime.NumGoroutine()).
		Msg("vitals")
}
