//go:build unix && !linux

package main

import (
	"errors"
	"os"
)

// havePTY says that processes get no terminal here: every system makes them in its own way, and this program knows
// Linux's.
const havePTY = false

func (*process) openPTY() ([]*os.File, error) { return nil, errors.ErrUnsupported }
