package netio

import (
	"io/fs"
	"net"
	"os"
	"syscall"
)

// bindNarrow binds a socket with no more permissions than mode. Linux gives the file the permissions of the socket
// itself, less the umask.
func bindNarrow(path string, mode fs.FileMode) (net.Listener, error) {
	return bindWith(path, func(fd int) error {
		return os.NewSyscallError("fchmod", syscall.Fchmod(fd, uint32(mode.Perm())))
	})
}
