package stock

import (
	_ "embed" // for boot.py
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

//go:embed boot.py
var boot []byte

// Timeout is the timeout of one wait for a program, after which the test fails. It is generous because a loaded
// two-core machine needs some seconds to start ten interpreters at once. No test measures time with it.
const Timeout = 60 * time.Second

// Process is one running program of stock Twisted. Its methods fail the test on error. Those that wait call t.Fatal and
// must be called on the test's goroutine.
type Process struct {
	t      testing.TB
	name   string
	cmd    *exec.Cmd
	stdin  *os.File
	output *output
	ended  chan struct{} // closed when the program has been reaped
	code   int           // valid after ended is closed
}

// Start runs a script of this repository.
func Start(t testing.TB, script string, args ...string) *Process {
	t.Helper()
	return start(t, filepath.Base(script), append([]string{script}, args...))
}

// StartSource runs a script given as source text, usually embedded. It writes the source to a file called name.
func StartSource(t testing.TB, name string, source []byte, args ...string) *Process {
	t.Helper()
	return Start(t, WriteScript(t, name, source), args...)
}

// StartListing runs an unmodified program of twisted-doc, which uses the fixed port 8787, 8789 or 8800. It listens on a
// free port instead, which [Process.Port] returns, and connects to connectTo ("host:port", or "" for a program that
// only listens).
func StartListing(t testing.TB, path, connectTo string, args ...string) *Process {
	t.Helper()
	if connectTo == "" {
		connectTo = "127.0.0.1:0"
	}
	return start(t, filepath.Base(path), append([]string{"--port-map", connectTo, path}, args...))
}

// WriteScript writes source to a file in a temporary directory of the test and returns its path.
func WriteScript(t testing.TB, name string, source []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, source, 0o600); err != nil {
		t.Fatalf("stock: cannot write %s: %v", name, err)
	}
	return path
}

func start(t testing.TB, name string, args []string) *Process {
	t.Helper()
	p := &Process{t: t, name: name, output: newOutput(), ended: make(chan struct{})}
	p.cmd = exec.Command(Python, append([]string{"-u", WriteScript(t, "boot.py", boot)}, args...)...)
	p.cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "PYTHONIOENCODING=utf-8")
	// Programs that this one starts are in its process group and are killed with it.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, stdinWriter, err := os.Pipe()
	if err != nil {
		t.Fatalf("stock: cannot create a pipe for %s: %v", name, err)
	}
	p.stdin = stdinWriter
	p.cmd.Stdin = stdin
	p.cmd.Stdout = p.output.writer("out")
	p.cmd.Stderr = p.output.writer("err")
	// Wait must not block for good on a grandchild that keeps the pipes open, nor lose what the program has printed
	// last.
	p.cmd.WaitDelay = Timeout / 2
	err = p.cmd.Start()
	stdin.Close()
	if err != nil {
		stdinWriter.Close()
		t.Fatalf("stock: cannot start %s: %v", name, err)
	}
	go p.reap()
	t.Cleanup(p.cleanup)
	return p
}

func (p *Process) reap() {
	err := p.cmd.Wait()
	p.code = p.cmd.ProcessState.ExitCode()
	if err != nil && !errors.As(err, new(*exec.ExitError)) {
		p.output.add("sys", err.Error())
	}
	p.output.close()
	close(p.ended)
}

// signal sends sig to the process group. A group that has already exited is not an error.
func (p *Process) signal(sig syscall.Signal) { _ = syscall.Kill(-p.cmd.Process.Pid, sig) }

// Kill kills the program (SIGKILL) and waits until it has exited, so its sockets are closed.
func (p *Process) Kill() {
	p.signal(syscall.SIGKILL)
	<-p.ended
}

// Stop sends SIGTERM, on which a reactor closes its connections in order, waits, and returns the exit code.
func (p *Process) Stop() int {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	return p.Exit()
}

// Exit waits for the program to exit and returns its exit code, or -1 if a signal ended it. It fails the test if the
// program does not exit within [Timeout].
func (p *Process) Exit() int {
	p.t.Helper()
	return p.ExitWithin(Timeout)
}

// ExitWithin is Exit with another timeout.
func (p *Process) ExitWithin(timeout time.Duration) int {
	p.t.Helper()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
		p.t.Fatalf("stock: %s did not end within %v", p.name, timeout)
	case <-p.t.Context().Done():
		p.t.Fatalf("stock: the test ended before %s did", p.name)
	}
	return p.code
}

// Ended returns a channel that is closed when the program has exited.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Pid returns the process id of the program, which is also the id of its process group.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

func (p *Process) cleanup() {
	p.Kill()
	p.stdin.Close()
	if p.t.Failed() {
		p.t.Logf("stock: output of %s:\n%s", p.name, p.output.dump())
	}
}
