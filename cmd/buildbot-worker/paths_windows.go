package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/windows"
)

// separators are the characters that separate the parts of a path.
const separators = `/\`

// homeVariable is the environment variable with the user's directory.
const homeVariable = "USERPROFILE"

// openFile opens a file with flags of package os.
func openFile(path string, flags int) (*os.File, error) { return os.OpenFile(path, flags, 0o666) }

// readNow reads a file. It may wait: Windows has no named pipes among its files.
func readNow(f *os.File, b []byte) (int, error) { return f.Read(b) }

// join joins paths as Python's ntpath.join does, but for paths that have a drive and are not absolute.
func join(parts ...string) string {
	joined := ""
	for _, part := range parts {
		switch {
		case filepath.IsAbs(part):
			joined = part
		case part != "" && strings.ContainsAny(part[:1], separators):
			joined = filepath.VolumeName(joined) + part
		case joined == "" || strings.ContainsAny(joined[len(joined)-1:], separators+":"):
			joined += part
		default:
			joined += `\` + part
		}
	}
	return joined
}

// parent returns the directory of a path as Python's os.path.dirname does: that of "a/" is "a".
func parent(p string) string { return filepath.Clean(p[:strings.LastIndexAny(p, separators)+1]) }

// systemName is Python's os.name, by which the master chooses how it joins paths.
const systemName = "nt"

// systemNumber returns the number of an error as Python's errno has it. It knows those of files.
func systemNumber(number syscall.Errno) int {
	switch number {
	case windows.ERROR_FILE_NOT_FOUND, windows.ERROR_PATH_NOT_FOUND, windows.ERROR_INVALID_NAME:
		return 2 // ENOENT
	case windows.ERROR_ACCESS_DENIED, windows.ERROR_SHARING_VIOLATION:
		return 13 // EACCES
	case windows.ERROR_FILE_EXISTS, windows.ERROR_ALREADY_EXISTS, syscall.EEXIST:
		return 17 // EEXIST
	case windows.ERROR_DIRECTORY:
		return 20 // ENOTDIR
	case syscall.EISDIR:
		return 21
	case windows.ERROR_DIR_NOT_EMPTY:
		return 41 // ENOTEMPTY
	case windows.ERROR_DISK_FULL:
		return 28 // ENOSPC
	}
	return 22 // EINVAL
}
