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

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/stock"
)

// transcript is the master's output.
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
	require.Eventually(t, func() bool { return strings.Contains(p.String(), text) }, stock.Timeout, 20*time.Millisecond,
		"the master does not print %q", text)
}

// awaitOf waits until text is among the lines of one worker. Those of the others may come in between.
func (p *transcript) awaitOf(t *testing.T, worker, text string) {
	t.Helper()
	require.Eventually(t, func() bool {
		var own strings.Builder
		for line := range strings.Lines(p.String()) {
			if strings.HasPrefix(line, worker+": ") {
				own.WriteString(line)
			}
		}
		return strings.Contains(own.String(), text)
	}, stock.Timeout, 20*time.Millisecond, "the master does not print %q of %s", text, worker)
}

// begin runs a master in this process and returns its address.
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

// attach starts a stock worker, which logs to a file in its directory.
func attach(t *testing.T, address, name, password string) (worker *stock.Process, base string) {
	base = filepath.Join(t.TempDir(), "worker")
	out, err := exec.Command(stock.WorkerProgram, "create-worker", base, address, name, password).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return stock.Start(t, stock.WorkerProgram, "start", "--nodaemon", base), base
}

func TestStockWorkerRunsACommand(t *testing.T) {
	stock.Require(t, stock.Buildbot)
	address, printed, ended := begin(t, "-worker", "w1=sesame", "-worker", "w2=other", "-once",
		"-command", "echo hello; echo 'grüße' >&2; printf 'no end'; printf 'none here' >&2; exit 3")
	worker, _ := attach(t, address, "w1", "sesame")
	select {
	case err := <-ended:
		assert.NoError(t, err, "with -once the master ends after the command")
	case <-time.After(stock.Timeout):
		t.Fatalf("the command does not end; the master has printed:\n%s", printed)
	}
	// The order of lines of different streams is undefined.
	lines := strings.Split(strings.TrimSuffix(printed.String(), "\n"), "\n")[1:]
	assert.ElementsMatch(t, []string{"w1: hello", "w1: grüße", "w1: no end", "w1: none here", "w1: exit 3"}, lines)
	assert.Equal(t, "w1: exit 3", lines[len(lines)-1])
	worker.Kill()
}

// TestStockWorkersComeAndGo runs the command on each worker that attaches. One is killed meanwhile and runs it again
// when it is back.
func TestStockWorkersComeAndGo(t *testing.T) {
	stock.Require(t, stock.Buildbot)
	release := filepath.Join(t.TempDir(), "release")
	address, printed, _ := begin(t, "-worker", "w1=sesame", "-worker", "w2=other",
		"-command", "echo begun; while [ ! -e "+release+" ]; do sleep 0.1; done; echo whole")
	one, _ := attach(t, address, "w1", "sesame")
	attach(t, address, "w2", "other")
	_, stranger := attach(t, address, "w2", "wrong")
	printed.await(t, "w1: begun\n")
	printed.await(t, "w2: begun\n")
	require.Eventually(t, func() bool {
		log, err := os.ReadFile(filepath.Join(stranger, "twistd.log"))
		return err == nil && bytes.Contains(log, []byte("unauthorized login"))
	}, stock.Timeout, 20*time.Millisecond, "a worker with a wrong password is not refused")
	one.Kill()
	printed.await(t, "w1: lost before the command has ended\n")
	assert.NotContains(t, printed.String(), "w1: exit")
	require.NoError(t, os.WriteFile(release, nil, 0o600))
	printed.await(t, "w2: whole\nw2: exit 0\n")
	attach(t, address, "w1", "sesame")
	printed.await(t, "w1: whole\nw1: exit 0\n")
}

// TestPartialLines passes text in pieces, the last line without an end.
func TestPartialLines(t *testing.T) {
	printed := &transcript{}
	r := &report{master: &master{out: printer{printed}}, name: "w", rest: map[string]string{}}
	piece := func(key string, value any) []any { return []any{jelly.NewDict(jelly.Entry{Key: key, Value: value}), 0} }
	r.RemoteUpdate(
		[][]any{
			piece("stdout", "a"),
			piece("stderr", "x\ny"),
			piece("header", "not shown\n"),
			piece("stdout", "b\nc"),
			{},
			{"?", 0},
		},
	)
	r.lost()
	assert.Equal(t, "w: x\nw: ab\nw: c\nw: y\nw: lost before the command has ended\n", printed.String())
}

func TestStockSendchange(t *testing.T) {
	stock.Require(t, stock.Buildbot)
	address, printed, _ := begin(t, "-change-user", "change=changepw")
	send := func(auth string) error {
		return exec.Command(stock.BuildbotProgram,
			"sendchange", "-m", address, "-a", auth, "-W", "Anna <anna@example.org>",
			"-c", "first line\nand ü", "a.go", "b/c.go").Run()
	}
	require.NoError(t, send("change:changepw"))
	printed.await(t, "change: Anna <anna@example.org>: first line and ü: a.go b/c.go\n")
	var refused *exec.ExitError
	require.ErrorAs(t, send("change:wrong"), &refused, "a bad password is refused")
	assert.Equal(t, 1, refused.ExitCode())
	require.ErrorAs(t, send("nobody:changepw"), &refused)
	assert.Equal(t, 1, strings.Count(printed.String(), "change: "))
}

func TestAccountsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "workers")
	require.NoError(t, os.WriteFile(path, []byte("w1=sesame\r\n\nw2=a=b\n"), 0o600))
	a := accounts{}
	require.NoError(t, a.Set("@"+path))
	assert.Equal(t, accounts{"w1": "sesame", "w2": "a=b"}, a)
	assert.ErrorContains(t, a.Set("@"+path), "given twice")
	assert.ErrorIs(t, a.Set("@"+path+"x"), os.ErrNotExist)
}

func TestFlags(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no password":       {[]string{"-worker", "w1"}, "NAME=PASSWORD"},
		"twice":             {[]string{"-worker", "w1=a", "-worker", "w1=b"}, "given twice"},
		"worker and sender": {[]string{"-worker", "x=a", "-change-user", "x=b"}, "use different names"},
		"sender and trier": {
			[]string{"-change-user", "x=a", "-try", "x=b", "-command", "true"}, "use different names",
		},
		"no flag":            {[]string{"-worker", "x=a", "make", "-once"}, `"make"`},
		"no command":         {[]string{"-try", "x=b"}, "-command"},
		"no such URL scheme": {[]string{"-worker", "x=a", "-listen", "http://127.0.0.1:0"}, "http"},
	} {
		t.Run(name, func(t *testing.T) {
			assert.ErrorContains(t, run(t.Context(), c.args, printer{&transcript{}}), c.want)
		})
	}
	assert.NoError(t, run(t.Context(), []string{"-help"}, printer{&transcript{}}))
}
