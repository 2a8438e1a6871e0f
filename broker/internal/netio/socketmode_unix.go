//go:build unix && !linux

package netio

import (
	"io/fs"
	"net"
	"sync"
	"syscall"
)

// umaskMu is held while the umask of the process is changed.
var umaskMu sync.Mutex

// bindNarrow binds a socket with no more permissions than mode. Other files that the process creates meanwhile may have
// fewer permissions than they should.
func bindNarrow(path string, mode fs.FileMode) (net.Listener, error) {
	umaskMu.Lock()
	defer umaskMu.Unlock()
	before := syscall.Umask(0o777)
	syscall.Umask(before | int(^mode.Perm()&0o777))
	defer syscall.Umask(before)
	return net.Listen("unix", path)
}
