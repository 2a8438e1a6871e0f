package graph

import (
	"runtime"
	"time"
)

// stuck is how long work may take before the test gives up on it: what walks a graph as a tree takes years.
const stuck = time.Minute

// TB is what tests and rapid's have in common.
type TB interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Within calls f and fails if it allocates more than that many bytes, or does not return.
func Within(t TB, bytes uint64, f func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(stuck):
		t.Fatalf("no end after %v", stuck)
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > bytes {
		t.Errorf("%d bytes were allocated, more than %d", took, bytes)
	}
}
