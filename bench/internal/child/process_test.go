package child

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/bench/internal/systems"
	"github.com/perspectivebroker/pb/internal/stock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// childEnv is set in the environment of a test binary that runs as a child.
const childEnv = "PB_BENCH_CHILD"

// TestMain runs as a child if childEnv is set, with the arguments -role ROLE -system NAME, and -addr ADDRESS for a
// client.
func TestMain(m *testing.M) {
	if os.Getenv(childEnv) == "" {
		_ = os.Setenv(childEnv, "1")
		// Without this each child would wait for a second at exit under the race detector.
		_ = os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
		os.Exit(m.Run())
	}
	system, _ := systems.ByName(os.Args[4])
	var err error
	if os.Args[2] == RoleServer {
		err = RunServer(system, os.Stdin, os.Stdout)
	} else {
		err = RunClient(system, os.Args[6], os.Stdin, os.Stdout)
	}
	if err != nil {
		os.Exit(1)
	}
}

// newStarter returns a starter with long timeouts.
func newStarter(t *testing.T) starter {
	return starter{log: t.Output(), readyTimeout: time.Minute, exitTimeout: time.Minute}
}

// shell returns a system whose server and client are a shell script, with their role in $1.
func shell(script string) systems.System {
	return systems.System{Name: "shell", Script: script, Interpreter: "/bin/sh"}
}

// checkPair starts both processes of a system and makes calls.
func checkPair(t *testing.T, s systems.System) {
	pair, err := StartPair(t.Context(), t.Output(), s, 0)
	require.NoError(t, err)
	assert.NotEmpty(t, pair.Addr)
	_, err = pair.Client.Ask(Request{Op: OpOpen, Conns: 2, Callers: 4})
	require.NoError(t, err)
	run, err := pair.Client.Ask(Request{Op: OpRun, Millis: 10})
	require.NoError(t, err)
	assert.Positive(t, run.Calls)
	assert.Positive(t, run.Seconds)
	assert.Positive(t, run.P50)
	used, err := pair.Server.Ask(Request{Op: OpUsage})
	require.NoError(t, err)
	assert.Positive(t, used.CPU)
	_, err = pair.Client.Ask(Request{Op: OpClose})
	require.NoError(t, err)
	_, err = pair.Client.Ask(Request{Op: "dance"})
	assert.ErrorContains(t, err, s.Name+" client: ")
	assert.ErrorContains(t, err, "dance")
	require.NoError(t, pair.End())
}

func TestPair(t *testing.T) {
	system, ok := systems.ByName("ours")
	require.True(t, ok)
	checkPair(t, system)
}

// The server and the client of stock Twisted are one script that implements the same protocol.
func TestPairOfTwisted(t *testing.T) {
	stock.Require(t)
	system, ok := systems.ByName("twisted")
	require.True(t, ok)
	checkPair(t, system)
}

func TestScriptGetsNoExtraArguments(t *testing.T) {
	system := shell(`echo "{\"addr\": \"$*\"}"; cat >/dev/null`)
	pair, err := newStarter(t).pair(t.Context(), system, "-profile", "dir")
	require.NoError(t, err)
	assert.Equal(t, "server -system shell", pair.Addr)
	require.NoError(t, pair.End())
}

func TestChildDoesNotStart(t *testing.T) {
	for name, c := range map[string]struct{ script, want string }{
		"exits with an error": {"exit 3", "shell server failed: exit status 3"},
		"exits":               {"exit 0", "shell server did not start: shell server: EOF"},
		"invalid reply":       {"echo hello; cat >/dev/null", "invalid character 'h'"},
		"error reply":         {`echo '{"error": "too busy"}'; cat >/dev/null`, "shell server: too busy"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newStarter(t).pair(t.Context(), shell(c.script))
			assert.ErrorContains(t, err, c.want)
			assert.ErrorContains(t, err, "did not start")
		})
	}
	missing := systems.System{Name: "corba", Script: "-", Interpreter: "/missing/interpreter"}
	_, err := newStarter(t).pair(t.Context(), missing)
	assert.ErrorIs(t, err, os.ErrNotExist)
	assert.ErrorContains(t, err, "starting corba server")
}

// If the client does not start, the server is ended too.
func TestClientDoesNotStart(t *testing.T) {
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	defer log.Close()
	s := newStarter(t)
	s.log = log
	_, err = s.pair(t.Context(), shell(`
		[ $1 = client ] && { echo cannot start >&2; exit 3; }
		echo '{"addr": "here"}'
		cat >/dev/null
		echo server exits >&2`))
	require.ErrorContains(t, err, "shell client failed: exit status 3")
	assert.NotContains(t, err.Error(), "shell server")
	logged, err := os.ReadFile(log.Name())
	require.NoError(t, err)
	assert.Equal(t, "cannot start\nserver exits\n", string(logged))
}

func TestReadyTimeout(t *testing.T) {
	s := newStarter(t)
	s.readyTimeout = time.Millisecond
	_, err := s.pair(t.Context(), shell("exec sleep 1000"))
	require.ErrorContains(t, err, "shell server did not start")
	assert.ErrorContains(t, err, "killed")
}

func TestExitTimeout(t *testing.T) {
	s := newStarter(t)
	s.exitTimeout = time.Millisecond
	p, _, err := s.start(t.Context(), shell("echo '{}'; exec sleep 1000"), RoleClient)
	require.NoError(t, err)
	assert.EqualError(t, p.End(), "shell client failed: signal: killed")
}

func TestChildExitsDuringRequest(t *testing.T) {
	p, _, err := newStarter(t).start(t.Context(), shell("echo '{}'; read -r line; exit 3"), RoleClient)
	require.NoError(t, err)
	_, err = p.Ask(Request{Op: OpRun})
	require.EqualError(t, err, "shell client: EOF")
	assert.EqualError(t, p.End(), "shell client failed: exit status 3")
	_, err = p.Ask(Request{Op: OpRun})
	assert.ErrorContains(t, err, "shell client: ")
}

func TestInvalidReply(t *testing.T) {
	script := shell(`echo '{}'; read -r line; echo '{"calls": "many"}'; cat >/dev/null`)
	p, _, err := newStarter(t).start(t.Context(), script, RoleClient)
	require.NoError(t, err)
	_, err = p.Ask(Request{Op: OpRun})
	assert.ErrorContains(t, err, "shell client: ")
	assert.ErrorContains(t, err, "calls")
	require.NoError(t, p.End())
}

func TestContextEndsChild(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p, _, err := newStarter(t).start(ctx, shell("echo '{}'; exec sleep 1000"), RoleClient)
	require.NoError(t, err)
	cancel()
	_, err = p.Ask(Request{Op: OpRun})
	require.ErrorContains(t, err, "shell client: ")
	assert.ErrorContains(t, p.End(), "failed")
}
