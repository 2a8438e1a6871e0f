package daemon_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/perspectivebroker/pb/cred/internal/daemon"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestDaemon runs a server of four lines: it writes its uid when it is ready and a file when it is told to stop.
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
}

// recorder is a test that records how it ends and its cleanups.
type recorder struct {
	testing.TB
	fatal, skipped, logged string
	failed                 bool
	cleanups               []func()
}

func (r *recorder) Helper()                      {}
func (r *recorder) Failed() bool                 { return r.failed || r.fatal != "" }
func (r *recorder) Logf(format string, a ...any) { r.logged += fmt.Sprintf(format, a...) }
func (r *recorder) Errorf(string, ...any)        { r.failed = true }
func (r *recorder) Fatalf(format string, a ...any) {
	r.fatal = fmt.Sprintf(format, a...)
	runtime.Goexit()
}

func (r *recorder) Skipf(format string, a ...any) {
	r.skipped = fmt.Sprintf(format, a...)
	runtime.Goexit()
}
func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

// record runs a test in a goroutine and then its cleanups.
func record(t *testing.T, test func(testing.TB)) *recorder {
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		test(r)
	}()
	<-done
	for i := len(r.cleanups) - 1; i >= 0; i-- {
		r.cleanups[i]()
	}
	return r
}

func TestFindMissingProgram(t *testing.T) {
	find := func(t testing.TB) { daemon.Find(t, "slapd", "no-such-program", "/nowhere/*/slapd") }
	t.Run("skips the test", func(t *testing.T) {
		t.Setenv("CI", "")
		t.Setenv("PB_REQUIRE_STOCK", "")
		r := record(t, find)
		assert.Empty(t, r.fatal)
		assert.Contains(t, r.skipped, "apt-get install slapd")
	})
	t.Run("fails if required", func(t *testing.T) {
		t.Setenv("PB_REQUIRE_STOCK", "1")
		r := record(t, find)
		assert.Empty(t, r.skipped)
		assert.Contains(t, r.fatal, "no-such-program IS REQUIRED HERE; run: apt-get install slapd")
	})
}

func TestFindNewestVersion(t *testing.T) {
	dir := t.TempDir()
	for _, version := range []string{"13", "15", "14"} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, version), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, version, "server"), nil, 0o600))
	}
	assert.Equal(
		t,
		filepath.Join(dir, "15", "server"),
		daemon.Find(t, "server", "server", filepath.Join(dir, "*", "server")),
	)
}

func TestServerEndsEarly(t *testing.T) {
	r := record(t, func(t testing.TB) {
		d := daemon.Start(t, nil, "TERM", "/bin/sh", "-c", "echo the port is taken; exit 3")
		d.Until(func() error { return errors.New("nobody answers") })
	})
	assert.Contains(t, r.fatal, "/bin/sh has ended:\nthe port is taken")
	assert.Contains(t, r.logged, "/bin/sh printed:\nthe port is taken", "a failed test shows the server's output")
}

func TestStartFails(t *testing.T) {
	nobody := &syscall.Credential{Uid: 1 << 31, Gid: 1 << 31}
	if os.Getuid() == 0 {
		// more groups than a process can have
		nobody = &syscall.Credential{Uid: 1, Gid: 1, Groups: make([]uint32, 1<<17)}
	}
	r := record(t, func(t testing.TB) { daemon.Start(t, nobody, "TERM", "/bin/true") })
	assert.Contains(t, r.fatal, "cannot start /bin/true")
	r = record(t, func(t testing.TB) { daemon.Run(t, nil, "", "/bin/sh", "-c", "echo no such table; exit 1") })
	assert.Contains(t, r.fatal, "exit status 1\nno such table")
}

func TestDirIsRemoved(t *testing.T) {
	var dir string
	record(t, func(t testing.TB) {
		dir = daemon.Dir(t, daemon.Unprivileged(t, "no such user"))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "data"), []byte("x"), 0o600))
	})
	assert.NoDirExists(t, dir)
	t.Setenv("TMPDIR", "/nowhere")
	r := record(t, func(t testing.TB) { daemon.Dir(t, nil) })
	assert.Contains(t, r.fatal, "no directory for a server")
}
