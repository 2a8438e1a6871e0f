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

// Patience is how long one wait for a program lasts before the test is failed. Nothing is timed by it: a
// healthy program answers in milliseconds, and a loaded two-core machine needs some seconds to start ten
// interpreters at once.
const Patience = 60 * time.Second

// Process is one running program of stock Twisted. Its methods fail the test themselves; those that do so by
// t.Fatal must be called on the test's own goroutine, which is said at each.
type Process struct {
	t      testing.TB
	name   string
	cmd    *exec.Cmd
	stdin  *os.File
	output *output
	ended  chan struct{} // closed after the program has been reaped
	code   int           // valid once ended is closed
}

// Start runs a script of ours from a file.
func Start(t testing.TB, script string, args ...string) *Process {
	t.Helper()
	return start(t, filepath.Base(script), append([]string{script}, args...))
}

// StartSource runs a script that the test holds as text, usually embedded. The name is for messages and for
// the file that is made of it.
func StartSource(t testing.TB, name string, source []byte, args ...string) *Process {
	t.Helper()
	return Start(t, WriteScript(t, name, source), args...)
}

// StartListing runs an unchanged file of twisted-doc, in which the ports 8787, 8789 or 8800 are written down.
// Where it listens it takes a free port instead and says so ([Process.Port]); where it connects it is led to
// connectTo ("host:port", or "" for programs that only listen).
func StartListing(t testing.TB, path, connectTo string, args ...string) *Process {
	t.Helper()
	if connectTo == "" {
		connectTo = "127.0.0.1:0"
	}
	return start(t, filepath.Base(path), append([]string{"--port-map", connectTo, path}, args...))
}

// WriteScript puts the source into a directory of the test's own and returns the path.
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
	// A group of its own, so that a program which starts others takes them with it.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, hold, err := os.Pipe()
	if err != nil {
		t.Fatalf("stock: no pipe for %s: %v", name, err)
	}
	p.stdin = hold
	p.cmd.Stdin = stdin
	p.cmd.Stdout = p.output.writer("out")
	p.cmd.Stderr = p.output.writer("err")
	// A grandchild may keep the pipes open; Wait must not wait for it.
	p.cmd.WaitDelay = time.Second
	err = p.cmd.Start()
	stdin.Close()
	if err != nil {
		hold.Close()
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

// signal reaches the whole group; that it has gone already is no error.
func (p *Process) signal(sig syscall.Signal) { _ = syscall.Kill(-p.cmd.Process.Pid, sig) }

// Kill ends the program the hard way (SIGKILL) and returns when it has gone: its sockets are closed by then.
func (p *Process) Kill() {
	p.signal(syscall.SIGKILL)
	<-p.ended
}

// Stop asks the program to end (SIGTERM: a reactor closes its connections in order) and returns its exit code.
func (p *Process) Stop() int {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	return p.Exit()
}

// Exit waits for the program to end by itself and returns its exit code, -1 after a signal. It fails the
// test when the program does not end; call it on the test's goroutine.
func (p *Process) Exit() int {
	p.t.Helper()
	return p.ExitWithin(Patience)
}

// ExitWithin is Exit for programs that may take their time.
func (p *Process) ExitWithin(patience time.Duration) int {
	p.t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
		p.t.Fatalf("stock: %s did not end within %v", p.name, patience)
	case <-p.t.Context().Done():
		p.t.Fatalf("stock: the test ended before %s did", p.name)
	}
	return p.code
}

// Ended is closed once the program has gone.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Pid is the program's process id, which is also its group's.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

func (p *Process) cleanup() {
	p.Kill()
	p.stdin.Close()
	if p.t.Failed() {
		p.t.Logf("stock: what %s printed:\n%s", p.name, p.output.dump())
	}
}
