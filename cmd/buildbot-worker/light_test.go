//go:build unix

package main

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// shortSteps runs steps whose program does nothing.
func (a *testAvatar) shortSteps(t testing.TB, steps int) {
	for range steps {
		_, err := a.do(t, "shell", map[string]any{"command": []any{"true"}, "workdir": "build", "logEnviron": false})
		require.NoError(t, err)
	}
}

// TestIdleHeap wants a small heap after some builds: an actor system of protoactor's default size takes three
// megabytes.
func TestIdleHeap(t *testing.T) {
	m := listenOnly(t)
	w := startBinary(t, buildBinary(t), m.flags(m.url)...)
	m.session().shortSteps(t, 100)
	f := w.footprint()
	assert.Less(t, f.heap, 1500, "KiB")
	t.Logf("%d KiB", f.heap)
}

// BenchmarkStep measures the worker's own CPU time for a short step.
func BenchmarkStep(b *testing.B) {
	m := listenOnly(b)
	w := startBinary(b, buildBinary(b), m.flags(m.url)...)
	a := m.session()
	a.shortSteps(b, 50)
	before := w.cpu()
	steps := 0
	for b.Loop() {
		a.shortSteps(b, 1)
		steps++
	}
	b.ReportMetric(float64((w.cpu()-before).Microseconds())/float64(steps), "cpu-µs/op")
}

// cpu returns the CPU time of the process, without that of its children, to a hundredth of a second. It is zero without
// /proc.
func (b *binary) cpu() time.Duration {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(b.cmd.Process.Pid) + "/stat")
	if err != nil {
		return 0
	}
	const user, system = 11, 12 // counted from the field behind the name
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	require.Greater(b.t, len(fields), system)
	var ticks int64
	for _, at := range []int{user, system} {
		n, err := strconv.ParseInt(fields[at], 10, 64)
		require.NoError(b.t, err)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
