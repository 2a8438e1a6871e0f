//go:build unix

package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// separators are the characters that separate the parts of a path.
const separators = "/"

// homeVariable is the environment variable with the user's directory.
const homeVariable = "HOME"

// openFile opens a file with flags of package os, without blocking. Only the file system itself can block it.
func openFile(path string, flags int) (*os.File, error) {
	return os.OpenFile(path, flags|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0o666)
}

// readNow reads what is available without waiting. An empty pipe returns 0 and no error.
func readNow(f *os.File, b []byte) (n int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		for {
			n, failed = syscall.Read(int(fd), b)
			if failed != syscall.EINTR {
				return true
			}
		}
	})
	n = max(n, 0)
	switch {
	case err != nil:
		return n, err
	case failed == syscall.EAGAIN:
		return n, nil
	case failed == nil && n == 0:
		return 0, io.EOF
	}
	return n, failed
}

// join joins paths as Python's os.path.join does: an absolute path discards what comes before it, and nothing is
// cleaned. So the master's path names the same file as on a stock worker, and is shown the same.
func join(parts ...string) string {
	joined := ""
	for _, part := range parts {
		switch {
		case strings.HasPrefix(part, "/"):
			joined = part
		case joined == "" || strings.HasSuffix(joined, "/"):
			joined += part
		default:
			joined += "/" + part
		}
	}
	return joined
}

// parent returns the directory of a path as Python's os.path.dirname does: that of "a/" is "a".
func parent(p string) string { return filepath.Clean(p[:strings.LastIndexByte(p, '/')+1]) }

// systemName is Python's os.name, by which the master chooses how it joins paths.
const systemName = "posix"

// systemNumber returns the number of an error as Python's errno has it.
func systemNumber(number syscall.Errno) int { return int(number) }
