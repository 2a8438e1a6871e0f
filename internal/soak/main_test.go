package main

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// process is set in the environment of a test binary that is to be one of the soak's processes.
const process = "PB_SOAK_PROCESS"

func TestMain(m *testing.M) {
	if os.Getenv(process) != "" {
		os.Exit(run(os.Args[1:]))
	}
	goleak.VerifyTestMain(m)
}

// TestSoak is a short one, so that it works when it is wanted: see docs/reliability.md.
func TestSoak(t *testing.T) {
	var out bytes.Buffer
	c := controller{seed: seedOf(t), length: 12 * time.Second, log: t.Output(), env: []string{process + "=1"}}
	held, err := c.soak(t.Context(), &out)
	t.Logf("\n%s", out.String())
	require.NoError(t, err)
	require.True(t, held)
	require.NotZero(t, c.peers[0])
}
