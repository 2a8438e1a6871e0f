//go:build unix

package main

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"

	"github.com/perspectivebroker/pb/flavors"
)

// Python's exceptions for errors of the system.
var (
	osError           = flavors.NewException("builtins.OSError", flavors.PlainException)
	fileNotFoundError = flavors.NewException("builtins.FileNotFoundError", osError)
	permissionError   = flavors.NewException("builtins.PermissionError", osError)
	fileExistsError   = flavors.NewException("builtins.FileExistsError", osError)
)

// failure returns err with the exception type that the master may trap. The result can be sent.
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

// errno returns the system's error number, which is the exit code of the file commands, or 1 if there is none.
func errno(err error) int {
	var number syscall.Errno
	if errors.As(err, &number) && number != 0 {
		return int(number)
	}
	return 1
}

// reason returns the system's error text with a capital letter, as C has it.
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
