package interop

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/internal/stock"
	"github.com/perspectivebroker/pb/internal/wire"
)

// TestShutdownUnderLoad leaves the server with peers that wait forever, block their objects, read nothing, or stop
// within a call. startConformance wants it to end in time.
func TestShutdownUnderLoad(t *testing.T) {
	var conns []net.Conn
	t.Cleanup(func() { // after the server's end
		for _, c := range conns {
			_ = c.Close()
		}
	})
	url := startConformance(t, stock.Build(t, "conformance"), "-listen", "pb://127.0.0.1:0")
	stuck := [][]byte{
		encoded(t, `[message 1 root never 1 [tuple] [dictionary]]`),
		encoded(t, `[message 1 root slow 1 [tuple 600000] [dictionary]]`),
		encoded(t, `[message 1 root echo 1 [tuple `+strings.Repeat("x", 100_000)+`] [dictionary]]`),
		encoded(t, `[message 1 root echo 1 [tuple `+strings.Repeat("x", 1000)+`] [dictionary]]`)[:500],
	}
	const floods = 2 // index of the call that is repeated until the server stops reading
	for i := range 40 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "pb://"))
		require.NoError(t, err)
		conns = append(conns, conn)
		_, err = conn.Write(append([]byte("\x02\x82pb"), encoded(t, `[version 6]`)...))
		require.NoError(t, err)
		_, err = conn.Write(stuck[i%len(stuck)])
		require.NoError(t, err)
		if i%len(stuck) == floods {
			require.NoError(t, conn.SetWriteDeadline(time.Now().Add(100*time.Millisecond)))
			for err == nil {
				_, err = conn.Write(stuck[floods])
			}
		}
	}
	// Each has its connection when another is served.
	p := wire.Connect(t, strings.TrimPrefix(url, "pb://"))
	p.Join()
	p.WantIdle()
}
