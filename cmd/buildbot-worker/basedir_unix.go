//go:build unix

package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// memorySignal makes the worker log its memory.
const memorySignal = syscall.SIGUSR1

// otherSignals are the signals besides those that end the worker. Under nohup SIGHUP stays ignored unless it is to ask
// for a shutdown.
func otherSignals(allowShutdown string) []os.Signal {
	if hupIgnored && allowShutdown != "signal" {
		return []os.Signal{memorySignal}
	}
	return []os.Signal{memorySignal, syscall.SIGHUP}
}

func setUmask(umask int) { syscall.Umask(umask) }

// checkAccess reports a directory in which this process may not write.
func checkAccess(dir string, about fs.FileInfo) error {
	err := unix.Access(dir, unix.R_OK|unix.W_OK|unix.X_OK)
	if err == nil {
		return nil
	}
	owner := "somebody else"
	if stat, ok := about.Sys().(*syscall.Stat_t); ok {
		owner = userName(int(stat.Uid))
	}
	return fmt.Errorf("the base directory %s belongs to %s, and this worker runs as %s, who may not write there (%w): "+
		"run it as the owner, or change the owner", dir, owner, userName(os.Geteuid()), err)
}

func userName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return fmt.Sprintf("%s (uid %d)", u.Username, uid)
	}
	return fmt.Sprintf("uid %d", uid)
}

// stockWorker returns the process of a stock worker in the background, or 0. Its file may be left over from a crash,
// and the number may belong to another process by now: on Linux the process must have the directory as its own.
func stockWorker(dir string) int {
	text, err := readSmall(filepath.Join(dir, "twistd.pid"), 20)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || pid <= 1 || pid == os.Getpid() || syscall.Kill(pid, 0) == syscall.ESRCH {
		return 0
	}
	theirs, err := os.Stat(fmt.Sprintf("/proc/%d/cwd", pid))
	ours, err2 := os.Stat(dir)
	if err == nil && err2 == nil && !os.SameFile(theirs, ours) {
		return 0
	}
	return pid
}
