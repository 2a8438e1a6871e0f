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

// process is set in the environment of a test binary that is to be a child.
const process = "PB_BENCH_CHILD"

// TestMain is the whole life of a child: it is started with -role ROLE -system NAME, a client also with -addr ADDRESS.
func TestMain(m *testing.M) {
	if os.Getenv(process) == "" {
		_ = os.Setenv(process, "1")
		// Or each of them would wait for a second at its end under the race detector.
		_ = os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
		os.Exit(m.Run())
	}
	system, _ := systems.ByName(os.Args[4])
	var err error
	if os.Args[2] == RoleServer {
		err = Serve(system, os.Stdin, os.Stdout)
	} else {
		err = Call(system, os.Args[6], os.Stdin, os.Stdout)
	}
	if err != nil {
		os.Exit(1)
	}
}

// patient starts children that have more time than they need.
func patient(t *testing.T) starter {
	return starter{log: t.Output(), ready: time.Minute, end: time.Minute}
}

// shell is a system whose two ends are shell scripts; they find their role in $1.
func shell(script string) systems.System {
	return systems.System{Name: "shell", Script: script, Interpreter: "/bin/sh"}
}

func measured(t *testing.T, s systems.System) {
	pair, err := StartPair(t.Context(), t.Output(), s)
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
	assert.ErrorContains(t, err, s.Name+"'s client: ")
	assert.ErrorContains(t, err, "dance")
	require.NoError(t, pair.End())
}

func TestAPairIsTwoProcessesThatDoWhatTheyAreAsked(t *testing.T) {
	system, ok := systems.ByName("ours")
	require.True(t, ok)
	measured(t, system)
}

// Stock's ends are one script, which speaks the same protocol.
func TestAPairOfStock(t *testing.T) {
	stock.Require(t)
	system, ok := systems.ByName("twisted")
	require.True(t, ok)
	measured(t, system)
}

func TestScriptsGetNoArgumentsButTheirRole(t *testing.T) {
	pair, err := patient(t).pair(t.Context(), shell(`echo "{\"addr\": \"$*\"}"; cat >/dev/null`), "-profile", "somewhere")
	require.NoError(t, err)
	assert.Equal(t, "server -system shell", pair.Addr)
	require.NoError(t, pair.End())
}

func TestChildrenThatDoNotStart(t *testing.T) {
	for name, c := range map[string]struct{ script, want string }{
		"dies":         {"exit 3", "shell's server ended badly: exit status 3"},
		"says nothing": {"exit 0", "shell's server did not start: shell's server: EOF"},
		"nonsense":     {"echo hello; cat >/dev/null", "invalid character 'h'"},
		"refuses":      {`echo '{"error": "there is no room"}'; cat >/dev/null`, "shell's server: there is no room"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := patient(t).pair(t.Context(), shell(c.script))
			assert.ErrorContains(t, err, c.want)
			assert.ErrorContains(t, err, "did not start")
		})
	}
	missing := systems.System{Name: "corba", Script: "-", Interpreter: "/missing/interpreter"}
	_, err := patient(t).pair(t.Context(), missing)
	assert.ErrorIs(t, err, os.ErrNotExist)
	assert.ErrorContains(t, err, "starting corba's server")
}

// A server whose client cannot be had is of no use, and must not stay behind. It says when it ends.
func TestAServerEndsWhereItsClientDoesNotStart(t *testing.T) {
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	defer log.Close()
	s := patient(t)
	s.log = log
	_, err = s.pair(t.Context(), shell(`
		[ $1 = client ] && { echo no client today >&2; exit 3; }
		echo '{"addr": "here"}'
		cat >/dev/null
		echo the server has ended >&2`))
	require.ErrorContains(t, err, "shell's client ended badly: exit status 3")
	assert.NotContains(t, err.Error(), "shell's server")
	said, err := os.ReadFile(log.Name())
	require.NoError(t, err)
	assert.Equal(t, "no client today\nthe server has ended\n", string(said))
}

func TestAChildThatIsNeverReadyIsKilled(t *testing.T) {
	s := patient(t)
	s.ready = time.Millisecond
	_, err := s.pair(t.Context(), shell("exec sleep 1000"))
	require.ErrorContains(t, err, "shell's server did not start")
	assert.ErrorContains(t, err, "killed")
}

func TestAChildThatDoesNotEndIsKilled(t *testing.T) {
	s := patient(t)
	s.end = time.Millisecond
	p, _, err := s.start(t.Context(), shell("echo '{}'; exec sleep 1000"), RoleClient)
	require.NoError(t, err)
	assert.EqualError(t, p.End(), "shell's client ended badly: signal: killed")
}

func TestAChildThatDiesOverARequest(t *testing.T) {
	p, _, err := patient(t).start(t.Context(), shell("echo '{}'; read -r line; exit 3"), RoleClient)
	require.NoError(t, err)
	_, err = p.Ask(Request{Op: OpRun})
	require.EqualError(t, err, "shell's client: EOF")
	assert.EqualError(t, p.End(), "shell's client ended badly: exit status 3")
	_, err = p.Ask(Request{Op: OpRun})
	assert.ErrorContains(t, err, "shell's client: ")
}

func TestAChildThatAnswersNonsense(t *testing.T) {
	p, _, err := patient(t).start(t.Context(), shell("echo '{}'; read -r line; echo '{\"calls\": \"many\"}'; cat >/dev/null"), RoleClient)
	require.NoError(t, err)
	_, err = p.Ask(Request{Op: OpRun})
	assert.ErrorContains(t, err, "shell's client: ")
	assert.ErrorContains(t, err, "calls")
	require.NoError(t, p.End())
}

// Whoever is waited for when the comparison is interrupted does not answer any more.
func TestChildrenEndWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p, _, err := patient(t).start(ctx, shell("echo '{}'; exec sleep 1000"), RoleClient)
	require.NoError(t, err)
	cancel()
	_, err = p.Ask(Request{Op: OpRun})
	require.ErrorContains(t, err, "shell's client: ")
	assert.ErrorContains(t, p.End(), "ended badly")
}
