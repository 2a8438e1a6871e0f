//go:build !linux

package service

// Adopt reports false: reaping is implemented for Linux containers.
func (*Children) Adopt() bool { return false }
