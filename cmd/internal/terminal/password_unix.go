//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package terminal

import (
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// ReadPassword calls prompt and reads a line from a terminal that does not show it. The terminal stops to show what is
// typed before prompt is called, so that a program that answers at once is not shown either.
func ReadPassword(fd int, prompt func()) ([]byte, error) {
	before, err := term.GetState(fd)
	if err != nil {
		return nil, err
	}
	defer func() { _ = term.Restore(fd, before) }()
	hidden, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return nil, err
	}
	hidden.Lflag &^= unix.ECHO
	if err := unix.IoctlSetTermios(fd, setTermios, hidden); err != nil {
		return nil, err
	}
	prompt()
	return term.ReadPassword(fd)
}
