//go:build unix

package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/perspectivebroker/pb/internal/stock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMain handles SIGHUP: tests may run under nohup, which has it ignored, and programs that they start inherit that.
func TestMain(m *testing.M) {
	if signal.Ignored(syscall.SIGHUP) {
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
	os.Exit(m.Run())
}

// buildBinary builds the program as docs/buildbot.md does: static and without the race detector.
func buildBinary(t testing.TB) string {
	path := filepath.Join(t.TempDir(), "buildbot-worker")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return path
}

// binary is the worker as a process.
type binary struct {
	t     testing.TB
	cmd   *exec.Cmd
	ended chan struct{}
	err   error // valid once ended is closed
	asked int   // number of footprint calls

	mu  sync.Mutex
	log []string      // its stderr
	was chan struct{} // closed and replaced with each line
}

// startBinary starts a worker, which is killed when the test ends.
func startBinary(t testing.TB, program string, args ...string) *binary {
	return startCommand(t, exec.Command(program, args...))
}

// startCommand is startBinary for a prepared command.
func startCommand(t testing.TB, cmd *exec.Cmd) *binary {
	b := &binary{t: t, cmd: cmd, ended: make(chan struct{}), was: make(chan struct{})}
	said, err := b.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, b.cmd.Start())
	go func() {
		lines := bufio.NewScanner(said)
		for lines.Scan() {
			b.mu.Lock()
			b.log = append(b.log, lines.Text())
			close(b.was)
			b.was = make(chan struct{})
			b.mu.Unlock()
		}
		b.err = b.cmd.Wait()
		close(b.ended)
	}()
	t.Cleanup(func() {
		_ = b.cmd.Process.Kill()
		<-b.ended
		if t.Failed() {
			b.mu.Lock()
			defer b.mu.Unlock()
			t.Logf("the worker has said:\n%s", strings.Join(b.log[max(0, len(b.log)-40):], "\n"))
		}
	})
	return b
}

// said waits until so many lines contain text, and returns the last of them.
func (b *binary) said(text string, times int) string {
	b.t.Helper()
	patience := after(b.t)
	for {
		b.mu.Lock()
		found, was := 0, b.was
		for _, line := range b.log {
			if strings.Contains(line, text) {
				if found++; found == times {
					b.mu.Unlock()
					return line
				}
			}
		}
		b.mu.Unlock()
		select {
		case <-was:
		case <-b.ended:
			b.t.Fatalf("the worker has ended without saying %q %d times: %v", text, times, b.err)
		case <-patience:
			b.t.Fatalf("the worker does not say %q %d times", text, times)
		}
	}
}

// everything returns the log so far.
func (b *binary) everything() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.log, "\n")
}

func (b *binary) signal(s syscall.Signal) {
	b.t.Helper()
	require.NoError(b.t, b.cmd.Process.Signal(s))
}

// exit waits for the process to exit.
func (b *binary) exit() error {
	b.t.Helper()
	select {
	case <-b.ended:
		return b.err
	case <-after(b.t):
		b.t.Fatal("the worker does not end")
		return nil
	}
}

// footprint is the memory and other resources of the process.
type footprint struct {
	rss, peak       int // KiB
	fds, threads    int
	heap, goroutine int // logged by the process; heap in KiB
}

func (f footprint) String() string {
	return fmt.Sprintf("%d | %d | %d | %d | %d | %d", f.rss, f.peak, f.heap, f.goroutine, f.fds, f.threads)
}

// footprint sends SIGUSR1 and reads /proc.
func (b *binary) footprint() (f footprint) {
	b.t.Helper()
	b.asked++
	b.signal(syscall.SIGUSR1)
	for _, field := range strings.Fields(b.said("vitals", b.asked)) {
		key, value, _ := strings.Cut(field, "=")
		n, _ := strconv.Atoi(value)
		switch key {
		case "heap":
			f.heap = n >> 10
		case "goroutines":
			f.goroutine = n
		}
	}
	require.NotZero(b.t, f.goroutine)
	f.system(b.t, b.cmd.Process.Pid)
	return f
}

// system reads /proc. Without it the fields stay zero.
func (f *footprint) system(t testing.TB, pid int) {
	status, err := stock.Status(pid)
	if os.IsNotExist(err) {
		return
	}
	require.NoError(t, err)
	f.rss, f.peak, f.threads = status["VmRSS"], status["VmHWM"], status["Threads"]
	fds, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/fd")
	assert.NoError(t, err)
	f.fds = len(fds)
}
