package netio

import (
	"errors"
	"net"
	"syscall"

	"github.com/perspectivebroker/pb/cred"
)

// UnixPeer asks the kernel for the process at the other end of a Unix socket.
func UnixPeer(sock net.Conn) (cred.UnixPeer, error) {
	u, ok := sock.(*net.UnixConn)
	if !ok {
		return cred.UnixPeer{}, errors.New("broker: only a Unix socket knows its peer's user")
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return cred.UnixPeer{}, err
	}
	var ucred *syscall.Ucred
	var sockErr error
	if err := raw.Control(func(fd uintptr) {
		ucred, sockErr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}); err != nil {
		return cred.UnixPeer{}, err
	}
	if sockErr != nil {
		return cred.UnixPeer{}, sockErr
	}
	return cred.UnixPeer{UID: ucred.Uid, GID: ucred.Gid, PID: ucred.Pid}, nil
}
