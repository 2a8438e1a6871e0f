package service

import (
	"bytes"
	"errors"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Adopt begins to reap inherited processes if this process inherits any: it is the first of its PID namespace, or a
// subreaper. It reports whether it does.
func (c *Children) Adopt() bool {
	var subreaper int32
	err := unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&subreaper)), 0, 0, 0)
	if os.Getpid() != 1 && (err != nil || subreaper == 0) {
		return false
	}
	ended := make(chan os.Signal, 1) // one is enough: the reaper looks at all processes
	signal.Notify(ended, syscall.SIGCHLD)
	go func() {
		for range ended {
			c.reap()
		}
	}()
	c.reap()
	return true
}

// reap waits for the inherited processes that have ended.
func (c *Children) reap() {
	c.starting.Lock()
	defer c.starting.Unlock()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || !isZombieOf(pid, os.Getpid()) || c.isOwn(pid) {
			continue
		}
		for {
			_, err := syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
			if !errors.Is(err, syscall.EINTR) {
				break
			}
		}
	}
}

// isZombieOf reports whether a process has ended and a parent has not waited for it.
func isZombieOf(pid, parent int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	// The name in brackets may contain anything.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	return len(fields) > 1 && fields[0] == "Z" && fields[1] == strconv.Itoa(parent)
}
