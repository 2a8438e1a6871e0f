//go:build unix

package main

import (
	"runtime"

	"github.com/rs/zerolog"
)

// logVitals says what the program is made of at this moment, for whoever wonders whether it grows: there is no port to
// ask at. The collection before it makes two answers comparable.
func logVitals(log *zerolog.Logger) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	log.Info().
		Uint64("heap", m.HeapAlloc).
		Uint64("objects", m.HeapObjects).
		Int("goroutines", runtime.NumGoroutine()).
		Msg("vitals")
}
