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

// TestKilledPeers kills peer processes in the middle of calls, caches and logins. The server must release everything.
func TestKilledPeers(t *testing.T) {
	script := filepath.Join(t.TempDir(), "stock.py")
	require.NoError(t, os.WriteFile(script, stockPeer, 0o600))
	for name, command := range map[string]func(address string) *exec.Cmd{
		"go": func(address string) *exec.Cmd {
			cmd := exec.CommandContext(t.Context(), os.Args[0],
				"-role", rolePeer, "-address", address, "-lifetime", "1h", "-seed", "5")
			cmd.Env = append(os.Environ(), processEnv+"=1")
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
			stats := s.stats
			for kill := range int64(3) {
				calls, observers := stats.calls.Load(), stats.observersAdded.Load()
				cmd := command(ln.Addr().String())
				require.NoError(t, cmd.Start())
				// Kill it after it has made calls, while it observes the shared value or is logged in.
				require.Eventually(t, func() bool {
					added, logins := stats.observersAdded.Load(), stats.logins.Load()
					return stats.calls.Load() > calls+100 && added > observers && logins > 0 &&
						(added > stats.observersRemoved.Load() || logins > stats.logouts.Load())
				}, timeout, time.Millisecond, "kill %d", kill)
				require.NoError(t, cmd.Process.Kill())
				_ = cmd.Wait()
				s.waitIdle()
				require.Empty(t, s.t.Errors)
			}
			require.Empty(t, stats.observers)
			require.Empty(t, stats.avatars)
			require.NoError(t, s.rt.Close(context.WithoutCancel(t.Context())))
		})
	}
}
