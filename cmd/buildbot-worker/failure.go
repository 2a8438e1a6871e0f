//go:build unix

package main

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"

	"github.com/perspectivebroker/pb/flavors"
)

// Python's names for what the system refuses.
var (
	osError           = flavors.NewException("builtins.OSError", flavors.PlainException)
	fileNotFoundError = flavors.NewException("builtins.FileNotFoundError", osError)
	permissionError   = flavors.NewException("builtins.PermissionError", osError)
	fileExistsError   = flavors.NewException("builtins.FileExistsError", osError)
)

// failure gives an error the type by which a master may know it. What it returns can be sent.
func failure(err error) error {
	var known *flavors.Failure
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return known
	case errors.Is(err, fs.ErrNotExist):
		return fileNotFoundError.Wrap(err)
	case errors.Is(err, fs.ErrPermission):
		return permissionError.Wrap(err)
	case errors.Is(err, fs.ErrExist):
		return fileExistsError.Wrap(err)
	case errors.As(err, new(syscall.Errno)):
		return osError.Wrap(err)
	}
	return flavors.PlainException.Wrap(err)
}

// errno is the number that the system gave, which is the exit code of the commands for files. Errors without one are 1.
func errno(err error) int {
	var number syscall.Errno
	if errors.As(err, &number) && number != 0 {
		return int(number)
	}
	return 1
}

// reason is the system's text, as C has it: with a capital letter.
func reason(err error) string {
	var number syscall.Errno
	text := err.Error()
	if errors.As(err, &number) {
		text = number.Error()
	}
	if text == "" {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}
