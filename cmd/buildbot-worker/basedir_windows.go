package main

import (
	"io/fs"
	"os"
)

// memorySignal makes the worker log its memory. Windows has no such signal.
var memorySignal os.Signal = noSignal{}

type noSignal struct{}

func (noSignal) String() string { return "none" }
func (noSignal) Signal()        {}

// otherSignals are the signals besides those that end the worker. Windows has none.
func otherSignals(string) []os.Signal { return nil }

// setUmask does nothing: Windows has no umask.
func setUmask(int) {}

// checkAccess reports nothing: the first file that cannot be written does.
func checkAccess(string, fs.FileInfo) error { return nil }

// stockWorker returns 0: on Windows the stock worker writes no file with its process.
func stockWorker(string) int { return 0 }
