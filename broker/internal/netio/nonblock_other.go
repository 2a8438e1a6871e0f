//go:build !unix

package netio

import "syscall"

func newNonBlocking(syscall.Conn) NonBlocking { return nil }
