package graph

import (
	"runtime"
	"time"
)

// stuck is the timeout of the work: walking such a graph as a tree takes years.
const stuck = time.Minute

// TB is the common part of testing.TB and rapid.T.
type TB interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Within calls f, and fails the test if f allocates more than bytes or does not return.
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
