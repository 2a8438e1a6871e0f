package child

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
	"syscall"
)

// CPU returns the user and system time of this process in microseconds.
func CPU() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e3
}

// Usage returns the CPU time and the memory of this process. With collect it collects garbage first.
func Usage(collect bool) Reply {
	if collect {
		// Objects with finalizers or cleanups are collected by the second and third collection.
		for range 3 {
			runtime.GC()
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return Reply{
		CPU: CPU(), Heap: m.HeapAlloc, Stack: m.StackInuse, RSS: resident(), Goroutines: runtime.NumGoroutine(),
	}
}

// resident returns the resident memory of this process in bytes, or 0 if /proc is not available.
func resident() uint64 {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(statm)
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseUint(string(fields[1]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * uint64(os.Getpagesize())
}
