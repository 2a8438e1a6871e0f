package daemon_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/cred/internal/daemon"
)

// TestDaemon runs a server of four lines: it writes its id when it is ready and a last word when it is told to end.
func TestDaemon(t *testing.T) {
	as := daemon.Unprivileged(t)
	dir := daemon.Dir(t, as)
	script := `trap 'echo bye >"$1/bye"; exit 0' TERM; id -u >"$1/id"; while :; do sleep 0.01; done`
	d := daemon.Start(t, as, "TERM", "/bin/sh", "-c", script, "server", dir)
	d.Until(func() error {
		b, err := os.ReadFile(filepath.Join(dir, "id"))
		if err == nil && len(b) == 0 {
			err = errors.New("not yet")
		}
		return err
	})
	if as != nil {
		b, err := os.ReadFile(filepath.Join(dir, "id"))
		require.NoError(t, err)
		assert.NotEqual(t, "0\n", string(b))
	}
	d.Stop()
	d.Stop()
	b, err := os.ReadFile(filepath.Join(dir, "bye"))
	require.NoError(t, err)
	assert.Equal(t, "bye\n", string(b))
}

func TestRunAndFind(t *testing.T) {
	sh := daemon.Find(t, "dash", "sh", "/nowhere/*/sh")
	want, err := exec.LookPath("sh")
	require.NoError(t, err)
	assert.Equal(t, want, sh)
	assert.Equal(t, "/bin/sh", daemon.Find(t, "dash", "sh", "/bin/sh"))
	assert.Equal(t, "in", strings.TrimSpace(daemon.Run(t, nil, "in\n", "cat")))
	assert.NotZero(t, daemon.FreePort(t))
}
