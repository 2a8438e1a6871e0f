//go:build unix && !linux

package broker

import (
	"io/fs"
	"net"
	"sync"
	"syscall"
)

// umasking is held while the umask of the process is changed.
var umasking sync.Mutex

// bindNarrow binds a socket with no more permissions than mode has. Other files that the process makes at this moment
// may have fewer than they should.
func bindNarrow(path string, mode fs.FileMode) (net.Listener, error) {
	umasking.Lock()
	defer umasking.Unlock()
	before := syscall.Umask(0o777)
	syscall.Umask(before | int(^mode.Perm()&0o777))
	defer syscall.Umask(before)
	return net.Listen("unix", path)
}
