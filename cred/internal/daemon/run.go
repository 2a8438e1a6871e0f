package daemon

import (
	"bytes"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/internal/stock"
)

// patience is the timeout for starting or stopping a server. No test measures time with it.
const patience = 60 * time.Second

// keeper is the shell program that runs the server. It ends the server when its standard input ends, which
// happens as well when the test's process is killed. If the server ends by itself, so does the keeper.
const keeper = `
signal=$1; shift
exec 3<&0
"$@" </dev/null 3<&- &
server=$!
(cat <&3; kill -s "$signal" $server) >/dev/null 2>&1 &
watcher=$!
wait $server; code=$?
kill $watcher 2>/dev/null
exit $code`

// Daemon is a running server.
type Daemon struct {
	t      testing.TB
	name   string
	stdin  *os.File
	output *buffer
	ended  chan struct{}
	stop   sync.Once
}

// Start starts a server, as the given user if it is not nil. The end of the test stops it with the signal ("INT",
// "TERM").
func Start(t testing.TB, as *syscall.Credential, signal string, command ...string) *Daemon {
	t.Helper()
	d := &Daemon{t: t, name: command[0], output: &buffer{}, ended: make(chan struct{})}
	cmd := exec.Command("/bin/sh", append([]string{"-c", keeper, "keeper", signal}, command...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: as}
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = d.output, d.output
	cmd.WaitDelay = patience
	in, hold, err := os.Pipe()
	if err != nil {
		t.Fatalf("no pipe for %s: %v", d.name, err)
	}
	cmd.Stdin, d.stdin = in, hold
	err = cmd.Start()
	in.Close()
	if err != nil {
		hold.Close()
		t.Fatalf("cannot start %s: %v", d.name, err)
	}
	go func() {
		defer close(d.ended)
		_ = cmd.Wait() // The exit status does not matter. What the server has printed does.
	}()
	t.Cleanup(func() {
		d.Stop()
		// Kill the rest of its process group.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		if t.Failed() {
			t.Logf("%s printed:\n%s", d.name, d.output)
		}
	})
	return d
}

// Stop stops the server and waits until it has ended. It may be called twice.
func (d *Daemon) Stop() {
	d.t.Helper()
	d.stop.Do(func() { d.stdin.Close() })
	select {
	case <-d.ended:
	case <-time.After(patience):
		d.t.Errorf("%s did not end within %v", d.name, patience)
	}
}

// Until retries try until it succeeds, because many servers do not report that they are ready. The test fails if the
// server ends first.
func (d *Daemon) Until(try func() error) {
	d.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-d.ended:
			d.t.Fatalf("%s has ended:\n%s", d.name, d.output)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("%s is not ready after %v: %v\n%s", d.name, patience, err, d.output)
		}
	}
}

// Run runs a program to its end, as the given user if it is not nil, and returns its output. The test fails if the
// program does.
func Run(t testing.TB, as *syscall.Credential, stdin string, command ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	cmd.Dir = "/"
	cmd.Stdin = bytes.NewBufferString(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v\n%s", command, err, out)
	}
	return string(out)
}

// buffer gathers what a server prints; the test reads it while the server writes.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// Find returns the path of a program: the newest file that matches a pattern, or the one in PATH. Debian installs
// servers outside PATH.
func Find(t testing.TB, debianPackage, program string, patterns ...string) string {
	t.Helper()
	for _, pattern := range patterns {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return found[len(found)-1] // The newest version, as a rule.
		}
	}
	path, err := exec.LookPath(program)
	if err == nil {
		return path
	}
	if stock.Mandatory() {
		t.Fatalf("%s IS REQUIRED HERE; run: apt-get install %s", program, debianPackage)
	}
	t.Skipf("SKIPPED, NOT PASSED, WITHOUT %s; run: apt-get install %s", program, debianPackage)
	return ""
}

// Unprivileged returns the first existing user of names, for programs that refuse to run as root. It returns nil if the
// test does not run as root.
func Unprivileged(t testing.TB, names ...string) *syscall.Credential {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	for _, name := range append(names, "nobody") {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(found.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(found.Gid, 10, 32)
		if err1 == nil && err2 == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		}
	}
	t.Fatalf("no unprivileged user of the names %q on this machine", names)
	return nil
}

// Dir makes a directory that belongs to the user and is removed with the test. It is not below t.TempDir, which only
// its owner can enter.
func Dir(t testing.TB, owner *syscall.Credential) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pb-daemon-")
	if err != nil {
		t.Fatalf("no directory for a server: %v", err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("the server's directory is left over: %v", err)
		}
	})
	if owner != nil {
		if err := os.Chown(dir, int(owner.Uid), int(owner.Gid)); err != nil {
			t.Fatalf("cannot give the server its directory: %v", err)
		}
	}
	return dir
}
