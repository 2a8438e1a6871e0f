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

// soakBuilds is the number of builds.
const soakBuilds = 1000

// registryGrowth is what the registries of the two actor systems may grow by. protoactor's registry has 32,768 maps.
// Each allocates some 300 bytes when it gets its first actor, and keeps them. So a young process grows by up to 10 MiB.
const registryGrowth = 4 << 20

// TestSoak runs many builds with a master in Go in this process, because a stock master takes seconds for each. It
// measures the heap of both.
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
			runtime.GC() // for what finalizers released
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
