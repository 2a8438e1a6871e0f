//go:build !linux

package main

import (
	"io/fs"

	"github.com/perspectivebroker/pb/codec/jelly"
)

// statTuple returns the fields of Python's os.stat that every system has.
func statTuple(about fs.FileInfo) jelly.Tuple { return statWithoutSystem(about) }

// fileTimes returns the modification time twice: the access time has another name on every system.
func fileTimes(about fs.FileInfo) (accessed, modified float64) {
	modified = float64(about.ModTime().UnixNano()) / 1e9
	return modified, modified
}
