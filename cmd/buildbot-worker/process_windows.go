package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/windows"
)

// keepDescriptors does nothing: on Windows a process inherits the handles that it is given.
func keepDescriptors() {}

// group are the processes of a command: on Windows a job object, which the descendants of a process cannot leave. The
// process begins suspended, so that it has no descendants before it is in the job.
type group struct{ job windows.Handle }

func inOwnGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: windows.CREATE_SUSPENDED | windows.CREATE_NEW_PROCESS_GROUP}
}

var resumeProcess = windows.NewLazySystemDLL("ntdll.dll").NewProc("NtResumeProcess")

// take puts a process into a new job and lets it run. If it fails, the process is ended.
func (g *group) take(cmd *exec.Cmd) error {
	err := g.assign(uint32(cmd.Process.Pid))
	if err != nil {
		_ = cmd.Process.Kill()
		_ = children.Wait(cmd)
		g.release()
	}
	return err
}

func (g *group) assign(pid uint32) error {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return err
	}
	g.job = job
	const access = windows.PROCESS_SET_QUOTA | windows.PROCESS_TERMINATE | windows.PROCESS_SUSPEND_RESUME
	process, err := windows.OpenProcess(access, false, pid)
	if err != nil {
		return err
	}
	defer func() { _ = windows.CloseHandle(process) }()
	if err := windows.AssignProcessToJobObject(job, process); err != nil {
		return err
	}
	if status, _, _ := resumeProcess.Call(uintptr(process)); status != 0 {
		return windows.NTStatus(status)
	}
	return nil
}

// release closes the job. What a command leaves running goes on, as on other systems.
func (g *group) release() {
	if g.job != 0 {
		_ = windows.CloseHandle(g.job)
		g.job = 0
	}
}

// kill ends all processes of the job. Windows has no signals.
func (p *process) kill(syscall.Signal) {
	if err := windows.TerminateJobObject(p.group.job, killedCode); err != nil {
		_ = p.cmd.Process.Kill()
	}
}

// killedCode is the exit code of a process that the worker ended.
const killedCode = 1

// result returns the exit code, or -1 if the worker ended the process.
func (p *process) result() (int, syscall.Signal) {
	if p.killed {
		return -1, 0
	}
	return p.cmd.ProcessState.ExitCode(), 0
}

// shellArgv returns the arguments that run a line in the command interpreter.
func shellArgv(line string) []string { return append(interpreter(), line) }

// interpreter is the command interpreter with the flag for a command, as the stock worker has it.
func interpreter() []string {
	comspec, set := syscall.Getenv("COMSPEC")
	if !set {
		comspec = "cmd.exe"
	}
	return []string{comspec, "/c"}
}

// lookUp finds a program in the PATH of the program's own environment, with the extensions of PATHEXT.
func lookUp(name string, env map[string]string, dir string) (string, error) {
	extensions := []string{""}
	if filepath.Ext(name) == "" {
		extensions = append(strings.Split(strings.ToLower(env["PATHEXT"]), ";"), ".exe", ".bat", ".cmd")
	}
	places := []string{dir}
	if strings.ContainsAny(name, separators+":") {
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		places = []string{""}
	} else {
		for key, value := range env {
			if strings.EqualFold(key, "PATH") {
				places = append(places, filepath.SplitList(value)...)
			}
		}
	}
	for _, place := range places {
		for _, extension := range extensions {
			candidate := filepath.Join(place, name+extension)
			if about, err := os.Stat(candidate); err == nil && about.Mode().IsRegular() {
				return candidate, nil
			}
		}
	}
	return "", &os.PathError{Op: "exec", Path: name, Err: os.ErrNotExist}
}

// programArgv returns the arguments that run a program: as in the stock worker in the command interpreter, which finds
// batch files, unless it is the absolute path of an .exe.
func programArgv(argv []string) []string {
	if filepath.IsAbs(argv[0]) && strings.EqualFold(filepath.Ext(argv[0]), ".exe") {
		return argv
	}
	return append(interpreter(), argv...)
}

// signals are those that a master may name. Each ends the job.
var signals = map[syscall.Signal]string{
	syscall.SIGKILL: "KILL", syscall.SIGTERM: "TERM", syscall.SIGINT: "INT",
}
