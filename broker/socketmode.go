package broker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
)

// WithSocketMode sets the permissions of the socket that [Listen] makes for a pb+unix:// URL. To connect a user needs
// write permission on the socket and search permission on every directory above it (Linux; some systems look at the
// directories alone). The mode is exact, whatever the umask is, and at no moment is the socket open to more users than
// that. Without the option the umask decides, as for any other file: with the usual 022 the socket is 0755, and only
// its owner can connect. Twisted's endpoints make it 0666.
//
// Where the group is to connect give 0660, and 0600 for the owner alone. The directory should be writable by the
// server's user only: whoever may write there can put another socket in the place of this one.
func WithSocketMode(mode fs.FileMode) Option {
	return optionFunc(func(o *options) { o.socketMode = &mode })
}

// checkSocketMode looks whether the option makes sense for a network.
func (o *options) checkSocketMode(network string) error {
	switch {
	case o.socketMode == nil:
		return nil
	case network != "unix":
		return errors.New("broker: WithSocketMode is for Listen at a pb+unix:// URL")
	case *o.socketMode != o.socketMode.Perm():
		return fmt.Errorf(
			"broker: WithSocketMode(%v): only the nine bits of permissions can be given, such as 0o660",
			*o.socketMode,
		)
	}
	return nil
}

// listenAt makes the listening socket of an endpoint.
func listenAt(e endpoint, o *options) (net.Listener, error) {
	if e.network != "unix" {
		return net.Listen(e.network, e.address)
	}
	removeStale(e.address)
	if o.socketMode == nil {
		return net.Listen(e.network, e.address)
	}
	sock, err := bindNarrow(e.address, *o.socketMode)
	if err != nil {
		return nil, err
	}
	if err := widen(e.address, *o.socketMode); err != nil {
		_ = sock.Close()
		return nil, err
	}
	return sock, nil
}

// widen gives a socket the permissions that the umask has taken from it.
func widen(path string, mode fs.FileMode) error {
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return err
	case info.Mode()&fs.ModeSocket == 0:
		return fmt.Errorf("%s was replaced by something else", path)
	case info.Mode().Perm() == mode:
		return nil
	}
	return os.Chmod(path, mode)
}

// removeStale removes a socket that no process listens at any more, left behind by one that was killed. It is moved out
// of the way first and looked at again, so that a server which has begun to listen meanwhile keeps its socket.
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
		_ = os.Link(aside, path) // which fails if there is another one by now
	}
	_ = os.Remove(aside)
}

func isStale(path string) bool {
	c, err := net.Dial("unix", path)
	if err == nil {
		_ = c.Close()
		return false
	}
	return isRefused(err)
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
