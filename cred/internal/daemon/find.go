package daemon

import (
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/perspectivebroker/pb/internal/stock"
)

// Find returns the path of a program: of the first of the patterns that a file matches, or of the one in PATH.
// Debian keeps servers where PATH does not lead.
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

// Unprivileged returns the user that a program is to run as which does not run as root: of the names the first that
// there is. It returns nil where the test itself is not root's.
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

// Dir makes a directory that belongs to that user and goes with the test. It lies beside t.TempDir, which only its
// owner may enter.
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

// FreePort returns a port of the loopback that nobody listens on just now.
func FreePort(t testing.TB) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("no free port: %v", err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}
