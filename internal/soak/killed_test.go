package main

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/internal/fault"
	"github.com/perspectivebroker/pb/internal/stock"
)

// TestPeersThatAreKilled: a process that is gone from one moment to the next, in the middle of calls, caches and logins, leaves nothing behind, and
// a peer beside it loses nothing.
func TestPeersThatAreKilled(t *testing.T) {
	script := filepath.Join(t.TempDir(), "stock.py")
	require.NoError(t, os.WriteFile(script, stockPeer, 0o600))
	for name, command := range map[string]func(address string) *exec.Cmd{
		"go": func(address string) *exec.Cmd {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-role", rolePeer, "-address", address, "-life", "1h", "-seed", "5")
			cmd.Env = append(os.Environ(), process+"=1")
			return cmd
		},
		"stock": func(address string) *exec.Cmd {
			stock.Require(t)
			host, port, err := net.SplitHostPort(address)
			require.NoError(t, err)
			return exec.CommandContext(t.Context(), stock.Python, "-u", script, host, port, "5", "3600")
		},
	} {
		t.Run(name, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			s, err := serve(ln, func() fault.Plan { return fault.Plan{} })
			require.NoError(t, err)
			b := s.book
			for kill := range int64(3) {
				served, came := b.served.Load(), b.came.Load()
				cmd := command(ln.Addr().String())
				require.NoError(t, cmd.Start())
				// It is killed while it follows an original, is logged in and has calls under way, or has had.
				require.Eventually(t, func() bool {
					return b.served.Load() > served+100 && b.came.Load() > came && b.in.Load() > 0 &&
						(b.came.Load() > b.left.Load() || b.in.Load() > b.out.Load())
				}, patience, time.Millisecond, "kill %d", kill)
				require.NoError(t, cmd.Process.Kill())
				_ = cmd.Wait()
				s.settle()
				require.Empty(t, s.t.Wrong)
			}
			require.Empty(t, b.observers)
			require.Empty(t, b.avatars)
			require.NoError(t, s.rt.Close(context.WithoutCancel(t.Context())))
		})
	}
}
