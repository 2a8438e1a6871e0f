//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package terminal

import "golang.org/x/term"

// ReadPassword calls prompt and reads a line from a terminal that does not show it.
func ReadPassword(fd int, prompt func()) ([]byte, error) {
	prompt()
	return term.ReadPassword(fd)
}
