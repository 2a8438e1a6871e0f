package interop

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/internal/stock"
)

// The contract's bounds of a server's memory during and after a flood.
const (
	promisedPeak = 200_000_000
	promisedRest = 40_000_000
)

// TestFloodMemory has four peers at a time call without reading, in every way that costs the server memory, while
// another client is served.
func TestFloodMemory(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("what a process takes is read from /proc")
	}
	const flooders, most = 4, 24 << 20
	url, pid := startServer(t, stock.Build(t, "conformance"), "-listen", "pb://127.0.0.1:0")
	b := newBystander(t, url)
	b.served(t)
	before := memoryOf(t, pid, "VmRSS")
	addr := strings.TrimPrefix(url, "pb://")
	long := func(n int) string { return strings.Repeat("x", n) }
	for _, flood := range []struct{ name, call string }{
		{"small calls", `[message 1 root add 1 [tuple 1 2] [dictionary]]`},
		{"calls that want no answer", `[message 1 root add 0 [tuple 1 2] [dictionary]]`},
		{"long answers", `[message 1 root echo 1 [tuple ` + long(500_000) + `] [dictionary]]`},
		{"lists", `[message 1 root echo 1 [tuple ` + list(20_000) + `] [dictionary]]`},
		{"objects", `[message 1 root counter 1 [tuple] [dictionary]]`},
		{"answers that never come", `[message 1 root never 1 [tuple] [dictionary]]`},
		{"answers that come late", `[message 1 root later 1 [tuple 500 1] [dictionary]]`},
		{"methods that do not exist", `[message 1 root ` + long(300) + ` 1 [tuple] [dictionary]]`},
		{"objects that do not exist", `[message 1 77 add 1 [tuple 1 2] [dictionary]]`},
		{"references", `[message 1 root echo 1 [tuple [list` + references(100_000) + `]] [dictionary]]`},
		{"commands that do not exist", `[` + long(100) + `]`},
	} {
		t.Run(flood.name, func(t *testing.T) {
			frame := encoded(t, flood.call)
			piece := bytes.Repeat(frame, max(1, 64<<10/len(frame)))
			var all sync.WaitGroup
			for range flooders {
				conn, err := net.Dial("tcp", addr)
				require.NoError(t, err)
				defer conn.Close()
				_, err = io.WriteString(conn, hello)
				require.NoError(t, err)
				all.Go(func() { pour(conn, piece, most) })
			}
			all.Wait()
			b.served(t)
			peak := memoryOf(t, pid, "VmHWM")
			t.Logf("%d MiB at most so far", peak>>20)
			assert.Less(t, peak, promisedPeak)
		})
	}
	b.leave(t)
	rest := 0
	assert.Eventually(t, func() bool {
		b.stats(t) // collects garbage
		rest = memoryOf(t, pid, "VmRSS")
		return rest < before+promisedRest
	}, stock.Timeout, 100*time.Millisecond)
	t.Logf("%d MiB before, %d afterwards", before>>20, rest>>20)
}

// pour writes until the server closes the connection, stops reading for a while, or limit is reached.
func pour(conn net.Conn, piece []byte, most int) {
	for n := 0; n < most; {
		_ = conn.SetWriteDeadline(time.Now().Add(3 * time.Second))
		written, err := conn.Write(piece)
		n += written
		if err != nil {
			return
		}
	}
}

func list(n int) string { return "[list" + strings.Repeat(" 1", n) + "]" }

func references(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, " [remote %d]", i)
	}
	return b.String()
}

// memoryOf returns a figure of a process from /proc, in bytes.
func memoryOf(t *testing.T, pid int, figure string) int {
	t.Helper()
	status, err := stock.Status(pid)
	require.NoError(t, err)
	require.Contains(t, status, figure)
	return status[figure] << 10
}
