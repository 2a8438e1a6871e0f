package main

import (
	"os"
	"runtime"
	"runtime/debug"

	cmap "github.com/orcaman/concurrent-map"
)

// collectAt is by how many percent the heap may grow before Go collects garbage; Go's default is 100. Go does not
// collect below four megabytes times this. A worker's heap in use is much smaller, so the rest would be garbage.
const collectAt = 50

// saveResources makes the process smaller. It must run before there is an actor system. GOGC and GOMAXPROCS in the
// environment win.
//
// protoactor's registry of actors has 1,024 parts of SHARD_COUNT maps each, and every map has memory of its own. With
// 32 they take three megabytes before there is an actor, and ten later. A worker has some dozens of actors.
//
// A worker mostly waits. With several processors Go wakes a second thread at each event to look for more work, which
// takes a quarter of the CPU time. The stock worker runs on one processor too.
func saveResources() {
	cmap.SHARD_COUNT = 1
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
}
