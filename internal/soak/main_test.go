package main

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// processEnv is set in the environment of a test binary that runs as one of the processes.
const processEnv = "PB_SOAK_PROCESS"

func TestMain(m *testing.M) {
	if os.Getenv(processEnv) != "" {
		os.Exit(run(os.Args[1:]))
	}
	goleak.VerifyTestMain(m)
}

// TestSoak is a short run; see docs/reliability.md for longer ones.
func TestSoak(t *testing.T) {
	var out bytes.Buffer
	c := controller{seed: seedOf(t), duration: 12 * time.Second, log: t.Output(), env: []string{processEnv + "=1"}}
	ok, err := c.run(t.Context(), &out)
	t.Logf("\n%s", out.String())
	require.NoError(t, err)
	require.True(t, ok)
	require.NotZero(t, c.peers[0])
}
