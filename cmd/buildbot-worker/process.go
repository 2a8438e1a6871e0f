//go:build unix

package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// maxInherited is the highest file descriptor that we look at, besides the three streams, for one that has been left
// open to us.
const maxInherited = 1024

// keepDescriptors has commands not inherit what this program was started with, as those of the stock worker do not: the
// lock or the pipe of whoever started us would live as long as anything that a build leaves behind.
func keepDescriptors() {
	for fd := 3; fd < maxInherited; fd++ {
		syscall.CloseOnExec(fd) // which fails where there is none, and that is all right
	}
}

// process is a running program with a process group of its own, and the goroutines that read what it writes.
type process struct {
	cmd     *exec.Cmd
	readers []*os.File // our ends
	stdin   *os.File   // our end; nil where it is empty

	exited  chan struct{} // closed when it has been waited for
	drained chan struct{} // closed when all has been read
	overran chan struct{} // closed when it has written too many lines

	killed bool // the attendant's

	mu    sync.Mutex
	last  time.Time // of output
	delay int       // how many readers wait for the master: the silence is not the process's
	halt  atomic.Bool
	lines atomic.Int64 // written so far, where there is a limit

	exceed sync.Once // closes overran
}

// start starts the program. Its standard input is what the master gave, and else empty.
func (t *task) start(out *report, pty bool) (*process, error) {
	path, err := lookUp(t.argv[0], t.env, t.dir)
	if err != nil {
		return nil, err
	}
	cmd := &exec.Cmd{Path: path, Args: t.argv, Dir: t.dir, Env: []string{}}
	for key, value := range t.env {
		cmd.Env = append(cmd.Env, key+"="+value)
	}
	p := &process{
		cmd:     cmd,
		exited:  make(chan struct{}),
		drained: make(chan struct{}),
		overran: make(chan struct{}),
		last:    time.Now(),
	}
	var theirs []*os.File // the child's ends
	streams := []string{"stdout", "stderr"}
	if pty {
		streams = streams[:1]
		theirs, err = p.openPTY()
	} else {
		theirs, err = p.openPipes(t.stdin)
	}
	if err == nil {
		err = cmd.Start()
	}
	for _, f := range theirs {
		f.Close()
	}
	if err != nil {
		p.stopReading()
		return nil, err
	}
	var reading sync.WaitGroup
	for i, stream := range streams {
		wanted := map[string]bool{"stdout": t.wantStdout, "stderr": t.wantStderr}[stream]
		reading.Go(func() { p.read(p.readers[i], stream, wanted, t, out) })
	}
	go func() {
		reading.Wait()
		p.closeReaders()
		if p.stdin != nil {
			p.stdin.Close() // Whoever holds the other end reads it no more.
		}
		close(p.drained)
	}()
	go func() {
		// The exit status is in ProcessState whatever Wait says.
		_ = cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// openPipes makes the three streams of an ordinary process. The files that it returns are to be closed here once the
// child has them.
func (p *process) openPipes(stdin *string) (theirs []*os.File, err error) {
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	for _, dst := range []*io.Writer{&p.cmd.Stdout, &p.cmd.Stderr} {
		r, w, err := os.Pipe()
		if err != nil {
			return theirs, err
		}
		p.readers, theirs = append(p.readers, r), append(theirs, w)
		*dst = w
	}
	if stdin == nil || *stdin == "" {
		return theirs, nil // which is the empty file
	}
	r, w, err := os.Pipe()
	if err != nil {
		return theirs, err
	}
	p.cmd.Stdin, p.stdin = r, w
	go func() {
		defer w.Close()
		// A process need not read its input to the end, nor at all; when it has gone the write fails.
		_, _ = w.WriteString(*stdin)
	}()
	return append(theirs, r), nil
}

// read hands on what comes from one stream, until its end. What follows on too many lines is thrown away.
func (p *process) read(f *os.File, stream string, wanted bool, t *task, out *report) {
	var text decoder
	buf := make([]byte, chunk)
	for !p.halt.Load() {
		n, err := f.Read(buf)
		if n > 0 {
			p.heard(func() {
				if wanted {
					out.text(stream, text.text(buf[:n]))
				}
			})
			if wanted && t.limitLines && p.count(buf[:n]) > t.maxLines {
				p.exceed.Do(func() { close(p.overran) })
				wanted = false
			}
		}
		if err != nil {
			break // the end, or a terminal whose other side is closed
		}
	}
	if rest := text.end(); wanted && rest != "" {
		out.text(stream, rest)
	}
}

// count adds the ends of lines in a piece and returns how many there have been in all. One that is cut in two between
// its carriage return and its line feed counts twice, as in the stock worker.
func (p *process) count(piece []byte) int64 {
	n := bytes.Count(piece, []byte("\n")) + bytes.Count(piece, []byte("\r")) - bytes.Count(piece, []byte("\r\n"))
	return p.lines.Add(int64(n))
}

// heard notes that the process has said something, and hands it on. Waiting for the master is no silence.
func (p *process) heard(handOn func()) {
	p.mu.Lock()
	p.delay++
	p.mu.Unlock()
	handOn()
	p.mu.Lock()
	p.delay--
	p.last = time.Now()
	p.mu.Unlock()
}

// silence is for how long the process has said nothing.
func (p *process) silence() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.delay > 0 {
		return 0
	}
	return time.Since(p.last)
}

// kill signals the whole group: what the process has started, and what may hold its pipes.
func (p *process) kill(signal syscall.Signal) {
	if err := syscall.Kill(-p.cmd.Process.Pid, signal); err != nil {
		// The group may not be there yet, or no more.
		_ = p.cmd.Process.Signal(signal)
	}
}

// stopReading closes our ends, whoever holds the others.
func (p *process) stopReading() {
	p.halt.Store(true)
	p.closeReaders()
}

func (p *process) closeReaders() {
	for _, r := range p.readers {
		r.Close()
	}
}

// result is the exit code, or -1 and the signal that ended the process. One that we have killed has not succeeded,
// whatever it says.
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
