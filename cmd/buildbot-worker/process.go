package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perspectivebroker/pb/cmd/buildbot-worker/internal/service"
)

// children are the running programs.
var children service.Children

// process is a running program in its own process group, and the goroutines that read its output.
type process struct {
	cmd     *exec.Cmd
	readers []*os.File // the worker's ends
	stdin   *os.File   // the worker's end; nil if empty
	group   group

	exited  chan struct{} // closed when the process has been reaped
	drained chan struct{} // closed when all output has been read
	overran chan struct{} // closed when there are too many lines

	killed bool // used by attend only

	mu    sync.Mutex
	last  time.Time // of output
	delay int       // number of readers that wait for the master
	halt  atomic.Bool
	lines atomic.Int64 // counted if there is a limit

	exceed sync.Once // closes overran
}

// start starts the program. Without input from the master its standard input is empty.
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
		err = children.Start(cmd)
	}
	if err == nil {
		err = p.group.take(cmd)
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
			p.stdin.Close() // ends the write in openPipes
		}
		close(p.drained)
	}()
	go func() {
		// ProcessState has the exit status whatever Wait returns.
		_ = children.Wait(cmd)
		close(p.exited)
		<-p.drained
		p.group.release()
	}()
	return p, nil
}

// openPipes creates the three streams of a process without a terminal. The caller closes the returned files once the
// child has them.
func (p *process) openPipes(stdin *string) (theirs []*os.File, err error) {
	p.cmd.SysProcAttr = inOwnGroup()
	for _, dst := range []*io.Writer{&p.cmd.Stdout, &p.cmd.Stderr} {
		r, w, err := os.Pipe()
		if err != nil {
			return theirs, err
		}
		p.readers, theirs = append(p.readers, r), append(theirs, w)
		*dst = w
	}
	if stdin == nil || *stdin == "" {
		return theirs, nil // os/exec opens /dev/null
	}
	r, w, err := os.Pipe()
	if err != nil {
		return theirs, err
	}
	p.cmd.Stdin, p.stdin = r, w
	go func() {
		defer w.Close()
		// A process may exit without reading its input; the write then fails.
		_, _ = w.WriteString(*stdin)
	}()
	return append(theirs, r), nil
}

// read reports a stream until its end. It discards what follows the last allowed line.
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
			break // EOF, or a terminal whose other side is closed
		}
	}
	if rest := text.end(); wanted && rest != "" {
		out.text(stream, rest)
	}
}

// count counts the line ends of a piece and returns the total. A carriage return and line feed in different pieces
// count twice, as in the stock worker.
func (p *process) count(piece []byte) int64 {
	n := bytes.Count(piece, []byte("\n")) + bytes.Count(piece, []byte("\r")) - bytes.Count(piece, []byte("\r\n"))
	return p.lines.Add(int64(n))
}

// heard notes the time of output and reports it. Waiting for the master does not count as silence.
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

// silence returns how long the process has written nothing.
func (p *process) silence() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.delay > 0 {
		return 0
	}
	return time.Since(p.last)
}

// stopReading closes the worker's ends of the pipes, even if other processes hold the other ends.
func (p *process) stopReading() {
	p.halt.Store(true)
	p.closeReaders()
}

func (p *process) closeReaders() {
	for _, r := range p.readers {
		r.Close()
	}
}
