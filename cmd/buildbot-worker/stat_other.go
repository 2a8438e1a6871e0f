//go:build unix && !linux

package main

import (
	"io/fs"

	"github.com/perspectivebroker/pb/codec/jelly"
)

// statTuple is what Python's os.stat has, as far as it has the same name everywhere.
func statTuple(about fs.FileInfo) jelly.Tuple { return statWithoutSystem(about) }

// fileTimes are the times of access and of change of content, in seconds; the former has another name on every system.
func fileTimes(about fs.FileInfo) (accessed, modified float64) {
	modified = float64(about.ModTime().UnixNano()) / 1e9
	return modified, modified
}
