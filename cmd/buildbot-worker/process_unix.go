//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// maxInherited is the highest inherited file descriptor to look for.
const maxInherited = 1024

// keepDescriptors keeps commands from inheriting descriptors that this program inherited, such as a lock or a pipe of
// its parent. What a build leaves running would hold them open. The stock worker does the same.
func keepDescriptors() {
	for fd := 3; fd < maxInherited; fd++ {
		syscall.CloseOnExec(fd) // ignores descriptors that are not open
	}
}

// group are the processes of a command: on Unix a process group.
type group struct{}

// inOwnGroup returns the attributes of a process that leads a group.
func inOwnGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func (group) take(*exec.Cmd) error { return nil }
func (group) release()             {}

// kill signals the whole process group: other processes in it may hold the pipes.
func (p *process) kill(signal syscall.Signal) {
	if err := syscall.Kill(-p.cmd.Process.Pid, signal); err != nil {
		// The group may not exist yet, or no longer.
		_ = p.cmd.Process.Signal(signal)
	}
}

// result returns the exit code, or -1 and the signal that ended the process. A process that this worker killed never
// counts as successful.
func (p *process) result() (int, syscall.Signal) {
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		return -1, status.Signal()
	}
	code := p.cmd.ProcessState.ExitCode()
	if code == 0 && p.killed {
		return -1, 0
	}
	return code, 0
}

// shellArgv returns the arguments that run a line in the shell.
func shellArgv(line string) []string { return []string{"/bin/sh", "-c", line} }

// lookUp finds a program as execvp does, in the PATH of the program's own environment.
func lookUp(name string, env map[string]string, dir string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	path, set := env["PATH"]
	if !set {
		path = "/bin:/usr/bin"
	}
	for _, d := range strings.Split(path, ":") {
		candidate := filepath.Join(d, name)
		if !filepath.IsAbs(candidate) {
			candidate = filepath.Join(dir, candidate)
		}
		about, err := os.Stat(candidate)
		if err == nil && about.Mode().IsRegular() && about.Mode()&0o111 != 0 {
			return candidate, nil
		}
	}
	return "", &os.PathError{Op: "exec", Path: name, Err: os.ErrNotExist}
}

// programArgv returns the arguments that run a program.
func programArgv(argv []string) []string { return argv }

// signals are those that a master may name.
var signals = map[syscall.Signal]string{
	syscall.SIGKILL: "KILL", syscall.SIGTERM: "TERM", syscall.SIGINT: "INT", syscall.SIGHUP: "HUP",
	syscall.SIGQUIT: "QUIT",
	syscall.SIGABRT: "ABRT", syscall.SIGUSR1: "USR1", syscall.SIGUSR2: "USR2", syscall.SIGALRM: "ALRM",
	syscall.SIGSTOP: "STOP",
}
