package netio

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"

	"github.com/perspectivebroker/pb/internal/usercode"
)

// ListenUnix listens on a Unix socket. It replaces a socket that no process listens on any more. A mode other than nil
// is the exact permissions of the socket, which never has more than these; without one the umask decides.
func ListenUnix(path string, mode *fs.FileMode) (net.Listener, error) {
	removeStale(path)
	if mode == nil {
		return net.Listen("unix", path)
	}
	sock, err := bindNarrow(path, *mode)
	if err != nil {
		return nil, err
	}
	if err := widen(path, *mode); err != nil {
		_ = sock.Close()
		return nil, err
	}
	return sock, nil
}

// widen restores the permissions that the umask has removed from a socket.
func widen(path string, mode fs.FileMode) error {
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return err
	case info.Mode()&fs.ModeSocket == 0:
		return fmt.Errorf("%s was replaced by another file", path)
	case info.Mode().Perm() == mode:
		return nil
	}
	return os.Chmod(path, mode)
}

// removeStale removes a socket that a killed process left behind. It moves the socket aside and checks again, so that a
// server that has begun to listen meanwhile keeps its socket.
func removeStale(path string) {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&fs.ModeSocket == 0 || !isStale(path) {
		return
	}
	aside := fmt.Sprintf("%s.%d", path, os.Getpid())
	if os.Rename(path, aside) != nil {
		return
	}
	if !isStale(aside) {
		_ = os.Link(aside, path) // It fails if there is another socket by now.
	}
	_ = os.Remove(aside)
}

func isStale(path string) bool {
	c, err := net.Dial("unix", path)
	if err == nil {
		_ = c.Close()
		return false
	}
	return usercode.Is(err, syscall.ECONNREFUSED)
}

// bindWith binds a socket after control was called with its descriptor.
func bindWith(path string, control func(fd int) error) (net.Listener, error) {
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var failed error
		err := raw.Control(func(fd uintptr) { failed = control(int(fd)) })
		return errors.Join(err, failed)
	}}
	return config.Listen(context.Background(), "unix", path)
}
