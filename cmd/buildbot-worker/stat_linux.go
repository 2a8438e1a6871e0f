package main

import (
	"io/fs"
	"syscall"

	"github.com/perspectivebroker/pb/codec/jelly"
)

// statTuple returns what Python's os.stat does: mode, inode, device, links, user, group, size, and the times of access,
// modification and inode change in seconds.
func statTuple(about fs.FileInfo) jelly.Tuple {
	s, ok := about.Sys().(*syscall.Stat_t)
	if !ok {
		return statWithoutSystem(about)
	}
	return jelly.Tuple{s.Mode, s.Ino, s.Dev, s.Nlink, s.Uid, s.Gid, s.Size, s.Atim.Sec, s.Mtim.Sec, s.Ctim.Sec}
}

// fileTimes returns the times of access and modification in seconds.
func fileTimes(about fs.FileInfo) (accessed, modified float64) {
	modified = float64(about.ModTime().UnixNano()) / 1e9
	s, ok := about.Sys().(*syscall.Stat_t)
	if !ok {
		return modified, modified
	}
	return float64(s.Atim.Nano()) / 1e9, modified
}
