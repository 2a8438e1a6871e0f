//go:build !linux

package main

import (
	"errors"
	"os"
)

// havePTY reports that processes get no terminal: only Linux's interface is implemented.
const havePTY = false

func (*process) openPTY() ([]*os.File, error) { return nil, errors.ErrUnsupported }
