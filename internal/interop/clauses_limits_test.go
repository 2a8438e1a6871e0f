package interop

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/wire"
)

// mint returns new objects, with the default limits. examples/conformance has higher ones.
type mint struct{ flavors.Root }

func (*mint) RemoteCounter() *coin { return &coin{} }

func (*mint) RemoteEcho(x any) any { return x }

type coin struct{ flavors.Referenceable }

// TestLimitClauses runs the clauses about limits with stock and ours.
func TestLimitClauses(t *testing.T) {
	for _, server := range []server{
		{"stock", false, func(t *testing.T) string { return Server(t).Addr() }},
		{"ours", true, func(t *testing.T) string {
			ln, err := broker.Listen(newRuntime(t), "pb://127.0.0.1:0", &mint{})
			require.NoError(t, err)
			return ln.Addr().String()
		}},
	} {
		t.Run("P-5.7 exports are limited, "+server.name, func(t *testing.T) {
			peer := wire.Connect(t, server.start(t))
			peer.Join()
			// Stock counts the root, and checks before it adds: 1,024 objects and the root are accepted, the next is not.
			for i := range 1024 {
				peer.Write(message(i+1, "root", "counter", `[tuple]`))
				peer.Want(`[answer ` + strconv.Itoa(i+1) + ` [remote _]]`)
			}
			peer.Write(message(2000, "root", "counter", `[tuple]`))
			peer.Want(`[error 2000 ["twisted.spread.pb.CopyableFailure" _]]`)
			peer.WantIdle()
		})
	}
}
