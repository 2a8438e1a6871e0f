//go:build !unix

package broker

import "syscall"

func promptSocketOf(syscall.Conn) promptSocket { return nil }
