//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// command is a process to run.
type command struct {
	argv    []string
	dir     string
	env     []string
	ignored []string // arguments that this worker does not support
}

// newCommand reads the arguments of the command "shell".
func newCommand(base string, args *jelly.Dict) (*command, error) {
	c := &command{env: os.Environ()}
	for key, value := range args.All() {
		var err error
		switch key {
		case "command":
			if line, ok := value.(string); ok {
				c.argv = []string{"/bin/sh", "-c", line}
			} else {
				err = jelly.Assign(&c.argv, value)
			}
		case "workdir":
			err = jelly.Assign(&c.dir, value)
		case "env":
			var env map[string]string
			err = jelly.Assign(&env, value)
			for k, v := range env {
				c.env = append(c.env, k+"="+v)
			}
		case "timeout", "maxTime", "initial_stdin", "logfiles", "usePTY", "max_lines", "interruptSignal":
			if !isDefault(value) {
				c.ignored = append(c.ignored, key.(string))
			}
		}
		if err != nil {
			return nil, flavors.TypeError.Errorf("argument %s: %w", jelly.Format(key), err)
		}
	}
	if len(c.argv) == 0 {
		return nil, flavors.ValueError.New("argument command is missing")
	}
	if !filepath.IsAbs(c.dir) {
		c.dir = filepath.Join(base, c.dir)
	}
	return c, nil
}

// isDefault reports whether this worker does what the argument asks for: nothing, or to interrupt with SIGKILL.
func isDefault(argument any) bool {
	dict, isDict := argument.(*jelly.Dict)
	return argument == nil || argument == false || argument == "KILL" || isDict && dict.Len() == 0
}

// run runs the process until it ends or ctx does, and reports to remote. It fails if remote does.
func (c *command) run(ctx context.Context, remote *flavors.RemoteReference) error {
	if c.ignored != nil {
		text := fmt.Sprintf("this worker ignores the arguments %s\n", strings.Join(c.ignored, ", "))
		if err := update(remote, "header", text); err != nil {
			return err
		}
	}
	stdout, stderr := &stream{remote: remote, key: "stdout"}, &stream{remote: remote, key: "stderr"}
	err := os.MkdirAll(c.dir, 0o777)
	code := 1
	if err == nil {
		cmd := exec.CommandContext(ctx, c.argv[0], c.argv[1:]...)
		cmd.Dir, cmd.Env = c.dir, c.env
		// The process group contains what the process starts. Cancel kills all of it.
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
		if err = runPiped(ctx, cmd, stdout, stderr); cmd.ProcessState != nil {
			code = cmd.ProcessState.ExitCode() // -1 for a process that was killed
		}
	}
	stdout.flush()
	stderr.flush()
	if err != nil {
		if err := update(remote, "header", strings.ToValidUTF8(err.Error(), "\uFFFD")+"\n"); err != nil {
			return err
		}
	}
	if err := update(remote, "rc", code); err != nil {
		return err
	}
	_, err = flavors.Call[any](remote.Conn().Context(), remote, "complete", nil)
	return err
}

// runPiped runs cmd until nobody has its output open, as the stock worker does. The master may take its time for the
// output, which [exec.Cmd.WaitDelay] would count. A second after ctx has ended, it leaves the pipes to processes that
// have left the group and were not killed.
func runPiped(ctx context.Context, cmd *exec.Cmd, stdout, stderr io.Writer) error {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	errOut, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() {
		time.Sleep(time.Second)
		_, _ = out.Close(), errOut.Close()
	})()
	var reading sync.WaitGroup
	reading.Go(func() { pass(stdout, out) })
	reading.Go(func() { pass(stderr, errOut) })
	reading.Wait()
	return cmd.Wait()
}

// pass copies until the end. If the master does not take the output, the process cannot write either.
func pass(to io.Writer, from io.ReadCloser) {
	_, _ = io.Copy(to, from)
	_ = from.Close()
}

// update sends one piece of news and waits until the master has taken it, so a slow master slows the process down.
func update(remote *flavors.RemoteReference, key string, value any) error {
	news := []any{[]any{map[string]any{key: value}, 0}}
	_, err := flavors.Call[any](remote.Conn().Context(), remote, "update", news)
	return err
}

// maxText is how many bytes one update carries. Banana's limit for a string is 640 KiB, and an invalid byte takes
// three.
const maxText = 64 << 10

// stream sends the output of a process to the master, whole lines if they are short enough.
type stream struct {
	remote *flavors.RemoteReference
	key    string
	rest   []byte // a line that has not ended
}

// Write implements io.Writer. io.Copy passes at most 32 KiB.
func (s *stream) Write(p []byte) (int, error) {
	s.rest = append(s.rest, p...)
	end := bytes.LastIndexByte(s.rest, '\n') + 1
	if end == 0 && len(s.rest) < maxText {
		return len(p), nil
	}
	if end == 0 {
		end = len(s.rest)
	}
	text := strings.ToValidUTF8(string(s.rest[:end]), "\uFFFD")
	s.rest = s.rest[end:]
	return len(p), update(s.remote, s.key, text)
}

// flush ends the last line. The master's log has whole lines only.
func (s *stream) flush() {
	if len(s.rest) > 0 {
		_, _ = s.Write([]byte("\n"))
	}
}
