package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/internal/stock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// programEnv is set in the environment of a test binary that runs the program, as the command of a build.
const programEnv = "PB_WORKERS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(programEnv) != "" {
		main()
	}
	_ = os.Setenv(programEnv, "1") // for the master, whose worker starts this binary
	os.Exit(m.Run())
}

// A run of one round with short builds.
func TestRun(t *testing.T) {
	stock.Require(t, stock.Buildbot)
	t.Chdir("../..")
	var out, log bytes.Buffer
	status := run(t.Context(), []string{"-rounds", "1", "-steps", "3", "-printing", "50ms"}, &out, &log)
	require.Zero(t, status, log.String())
	assert.Contains(t, log.String(), "round 1 of 1: stock")
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 9, out.String())
	assert.Contains(t, lines[2], "started to attached, ms")
}

func TestInvalidArguments(t *testing.T) {
	for args, want := range map[string]string{
		"now": `unexpected argument "now"`, "-rounds 0": "must be positive", "-printing -1s": "must be positive",
		"-fast": "not defined",
	} {
		var log bytes.Buffer
		assert.Equal(t, 2, run(t.Context(), strings.Fields(args), nil, &log), args)
		assert.Contains(t, log.String(), want)
	}
	var log bytes.Buffer
	assert.Zero(t, run(t.Context(), []string{"-help"}, nil, &log))
}

func TestPrintLines(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, printLines(&out, 1_000_000, 30*time.Millisecond))
	assert.InDelta(t, 30_000, out.Len(), 300)
	assert.True(t, strings.HasSuffix(out.String(), "\n"))
}

func TestOwnProcess(t *testing.T) {
	p, err := start(t.Context(), nil, os.Environ(), "/bin/sleep", "1000")
	require.NoError(t, err)
	assert.Positive(t, p.memory("VmHWM:"))
	most := p.watch("VmHWM:")
	assert.Positive(t, most())
	assert.GreaterOrEqual(t, p.cpu(), time.Duration(0))
	require.NoError(t, p.end())
	assert.Zero(t, p.memory("VmHWM:"), "it has ended")
	assert.Zero(t, p.cpu())
}
