//go:build unix

package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/internal/freeport"
	"github.com/perspectivebroker/pb/internal/stock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestStockMaster attaches the worker to a stock master, which gives it a build.
func TestStockMaster(t *testing.T) {
	stock.Require(t, stock.Buildbot)
	port := strconv.Itoa(freeport.Port(t))
	dir := filepath.Join(t.TempDir(), "master")
	t.Setenv("PB_PORT", port)
	buildbot(t, "create-master", dir)
	config, err := os.ReadFile("testdata/master.cfg")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "master.cfg"), config, 0o600))
	stock.Start(t, stock.BuildbotProgram, "start", "--nodaemon", dir)

	base := t.TempDir()
	t.Setenv("WORKERPASS", "sesame")
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"-master", "pb://127.0.0.1:" + port, "-name", "w1", "-basedir", base})
	}()
	t.Cleanup(func() {
		stop()
		assert.NoError(t, <-ended)
	})
	log := filepath.Join(dir, "twistd.log")
	awaitFile(t, log, "worker 'w1' attaching")
	awaitFile(t, log, "BuildMaster is running") // and accepts changes
	buildbot(t, "sendchange", "-m", "127.0.0.1:"+port, "-a", "change:changepw", "-W", "tester", "file")

	var outcome map[string]struct {
		Results int
		Log     string
	}
	require.NoError(t, json.Unmarshal(awaitFile(t, filepath.Join(dir, "outcome.json"), "}"), &outcome))
	line := outcome["line"]
	assert.Equal(t, 2, line.Results, "exit code 3 is a failure")
	ignored := "hthis worker ignores the arguments timeout\n"
	for _, want := range []string{ignored, "oout\n", "obuild\n", "ox y\n", "egrün\n"} {
		assert.Contains(t, line.Log, want)
	}
	assert.Zero(t, outcome["argv"].Results)
	assert.Contains(t, outcome["argv"].Log, "oa b|it's|\n")
	assert.Equal(t, 2, outcome["missing"].Results)
	assert.Contains(t, outcome["missing"].Log, "no such file or directory")
	assert.Zero(t, outcome["many"].Results)
	assert.Equal(t, 20000, strings.Count(outcome["many"].Log, "\no"))
	assert.Equal(t, 4, outcome["refused"].Results, "a command that the worker does not know is an exception")
}

func buildbot(t *testing.T, args ...string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), stock.BuildbotProgram, args...).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

func awaitFile(t *testing.T, path, text string) (content []byte) {
	t.Helper()
	require.Eventually(t, func() bool {
		content, _ = os.ReadFile(path)
		return strings.Contains(string(content), text)
	}, stock.Timeout, 50*time.Millisecond, "%s does not contain %q", path, text)
	return content
}
