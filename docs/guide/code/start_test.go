package code

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/internal/stock"
)

// TestStart runs the client in both languages with the server in both languages.
func TestStart(t *testing.T) {
	dir := t.TempDir()
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", dir+string(filepath.Separator), "./start/...").
		CombinedOutput()
	require.NoError(t, err, string(out))

	goClient := func(t *testing.T, addr string) {
		out, err := exec.CommandContext(t.Context(), filepath.Join(dir, "client"), "-connect", "pb://"+addr).
			CombinedOutput()
		require.NoError(t, err, string(out))
		assert.Contains(t, string(out), "counted to 2\n")
		assert.Regexp(t, `refused: true .*ValueError: cannot count by -1`, string(out))
	}
	pythonClient := func(t *testing.T, addr string) {
		stock.Require(t)
		client := stock.Start(t, "start/client.py", addr)
		client.WaitLine("counted to 2")
		client.WaitMatch(`^refused: .*cannot count by -1`)
		assert.Zero(t, client.Exit())
	}
	out, err = exec.CommandContext(t.Context(), "go", "-C", "../../../cmd", "build", "-o", dir, "./pb").CombinedOutput()
	require.NoError(t, err, string(out))
	command := func(t *testing.T, addr string) {
		out, err := exec.CommandContext(t.Context(), filepath.Join(dir, "pb"), "call", "pb://"+addr, "incr", "2").
			CombinedOutput()
		require.NoError(t, err, string(out))
		assert.Equal(t, "2\n", string(out))
	}
	goServer := func(t *testing.T) (addr string) {
		server := exec.Command(filepath.Join(dir, "server"), "-listen", "pb://127.0.0.1:0")
		stdout, err := server.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, server.Start())
		t.Cleanup(func() {
			require.NoError(t, server.Process.Signal(os.Interrupt))
			require.NoError(t, server.Wait())
		})
		lines := bufio.NewScanner(stdout)
		require.True(t, lines.Scan())
		return strings.TrimPrefix(lines.Text(), "listening at pb://")
	}
	pythonServer := func(t *testing.T) string {
		stock.Require(t)
		return stock.Start(t, "start/server.py", "0").Addr()
	}
	for name, server := range map[string]func(*testing.T) string{"Go server": goServer, "Python server": pythonServer} {
		t.Run(name+", Go client", func(t *testing.T) { goClient(t, server(t)) })
		t.Run(name+", command", func(t *testing.T) { command(t, server(t)) })
		t.Run(name+", Python client", func(t *testing.T) { pythonClient(t, server(t)) })
	}
}
