//go:build unix

package main

import (
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/flavors"
)

// soakBuilds is how many builds a worker must bear without growing.
const soakBuilds = 1000

// registryGrowth is what the registries of the two actor systems may take meanwhile: upstream's consists of 32,768
// maps, each of which gets its memory, some 300 bytes, when the first actor whose name falls to it is spawned, and
// keeps it when the actor has gone. So a young process grows a little with every actor, up to 10 MiB; what is
// registered does not.
const registryGrowth = 4 << 20

// TestSoak gives the worker build after build, from a master in Go in the same process: a stock one takes seconds for
// each. What it measures is the heap of both.
func TestSoak(t *testing.T) {
	builds := soakBuilds / 50
	if os.Getenv("PB_SOAK") != "" {
		builds = soakBuilds
	}
	a := newTestMaster(t).session()
	var early, late runtime.MemStats
	var goroutines int
	for build := 1; build <= builds; build++ {
		_, err := flavors.Call[any](t.Context(), a.builders["one"], "startBuild")
		require.NoError(t, err)
		o, err := a.do(t, "shell", sh("seq 1 2000; seq 1 2000 > f; exit 2"))
		require.NoError(t, err)
		require.Equal(t, int64(2), o.facts["rc"])
		require.Len(t, o.text("stdout"), 8893)
		w := &file{}
		_, err = a.do(
			t,
			"uploadFile",
			map[string]any{"workdir": "build", "workersrc": "f", "writer": w, "maxsize": nil, "blocksize": 4096},
		)
		require.NoError(t, err)
		require.Equal(t, 8893, w.content.Len())
		_, err = a.do(t, "stat", map[string]any{"file": "build/f"})
		require.NoError(t, err)
		if build%(builds/10) == 0 {
			runtime.GC()
			runtime.GC() // what finalizers have let go
			runtime.ReadMemStats(&late)
			if build == builds/10 {
				early, goroutines = late, runtime.NumGoroutine()
			}
			t.Logf(
				"build %4d: heap %5d KiB, %6d objects, %3d goroutines",
				build,
				late.HeapAlloc>>10,
				late.HeapObjects,
				runtime.NumGoroutine(),
			)
		}
	}
	assert.Less(t, late.HeapAlloc, early.HeapAlloc+registryGrowth, "it grows")
	assert.Less(t, runtime.NumGoroutine(), goroutines+20, "goroutines are left")
}
