package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/internal/stock"
)

const (
	buildbotProgram = "/usr/bin/buildbot"
	workerProgram   = "/usr/bin/buildbot-worker"
)

func requireBuildbot(t testing.TB) {
	t.Helper()
	stock.Require(t)
	for _, program := range []string{buildbotProgram, workerProgram} {
		if _, err := os.Stat(program); err != nil {
			const reason = "there is no %s; run: apt-get install buildbot buildbot-worker"
			if stock.Mandatory() {
				t.Fatalf("STOCK BUILDBOT IS REQUIRED HERE: "+reason, program)
			}
			t.Skipf("SKIPPED, NOT PASSED, WITHOUT STOCK BUILDBOT: "+reason, program)
		}
	}
}

// transcript is what the master prints.
type transcript struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (p *transcript) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.buf.Write(b)
}

func (p *transcript) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.buf.String()
}

func (p *transcript) await(t *testing.T, text string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(p.String(), text) }, stock.Patience, 20*time.Millisecond,
		"the master does not print %q", text)
}

// begin runs a master within the test and returns where it listens.
func begin(t *testing.T, args ...string) (address string, printed *transcript, ended <-chan error) {
	ctx, stop := context.WithCancel(context.Background())
	printed = &transcript{}
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, append([]string{"-listen", "pb://127.0.0.1:0"}, args...), printer{printed})
		close(done)
	}()
	t.Cleanup(func() {
		stop()
		assert.NoError(t, <-done)
	})
	printed.await(t, "listening pb://")
	return regexp.MustCompile(`pb://(\S+)`).FindStringSubmatch(printed.String())[1], printed, done
}

func TestStockWorkerRunsACommand(t *testing.T) {
	requireBuildbot(t)
	address, printed, ended := begin(t, "-worker", "w1=sesame", "-worker", "w2=other", "-once",
		"-command", "echo hello; echo 'grüße' >&2; printf 'no end'; exit 3")
	base := filepath.Join(t.TempDir(), "worker")
	out, err := exec.Command(workerProgram, "create-worker", base, address, "w1", "sesame").CombinedOutput()
	require.NoError(t, err, "%s", out)
	worker := stock.Start(t, workerProgram, "start", "--nodaemon", base)
	select {
	case err := <-ended:
		assert.NoError(t, err, "with -once the master ends after the command")
	case <-time.After(stock.Patience):
		t.Fatalf("the command does not end; the master has printed:\n%s", printed)
	}
	for _, line := range []string{"w1: hello\n", "w1: grüße\n", "w1: no end\n"} {
		assert.Contains(t, printed.String(), line)
	}
	assert.True(t, strings.HasSuffix(printed.String(), "w1: exit 3\n"), printed.String())
	worker.Kill()
}

func TestStockSendchange(t *testing.T) {
	requireBuildbot(t)
	address, printed, _ := begin(t, "-change-user", "change=changepw")
	send := func(auth string) error {
		return exec.Command(buildbotProgram, "sendchange", "-m", address, "-a", auth, "-W", "Anna <anna@example.org>",
			"-c", "first line\nand ü", "a.go", "b/c.go").Run()
	}
	require.NoError(t, send("change:changepw"))
	printed.await(t, "change: Anna <anna@example.org>: first line and ü: a.go b/c.go\n")
	assert.Error(t, send("change:wrong"), "a bad password is refused")
	assert.Equal(t, 1, strings.Count(printed.String(), "change: "))
}

func TestFlags(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no password":        {[]string{"-worker", "w1"}, "NAME=PASSWORD"},
		"twice":              {[]string{"-worker", "w1=a", "-worker", "w1=b"}, "given twice"},
		"worker and sender":  {[]string{"-worker", "x=a", "-change-user", "x=b"}, "different names"},
		"no such URL scheme": {[]string{"-worker", "x=a", "-listen", "http://127.0.0.1:0"}, "http"},
	} {
		t.Run(name, func(t *testing.T) {
			assert.ErrorContains(t, run(t.Context(), c.args, printer{&transcript{}}), c.want)
		})
	}
	assert.NoError(t, run(t.Context(), []string{"-help"}, printer{&transcript{}}))
}
