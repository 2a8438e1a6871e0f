package scenarios

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/cluster/internal/history"
)

// patience bounds every wait for something that must happen. No test measures time with it.
const patience = 60 * time.Second

// process is a program that a test has started.
type process struct {
	t     *testing.T
	name  string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	ended chan struct{}
	code  int // valid after ended is closed; -1 if a signal ended it

	mu      sync.Mutex
	lines   []string
	debug   int           // how many of them are of that level
	changed chan struct{} // closed and replaced with each line
}

// maxDebug bounds the lines that are kept of those that a program logs about each call. All others are kept.
const maxDebug = 2000

func isDebug(line string) bool { return strings.Contains(line, `"level":"debug"`) }

// launch starts a program in a process group of its own, which is killed when the test ends. each gets every line
// of both outputs, from one goroutine for each.
func launch(t *testing.T, name string, each func(line string), program string, args ...string) *process {
	t.Helper()
	p := &process{
		t: t, name: name, cmd: exec.Command(program, args...), ended: make(chan struct{}), changed: make(chan struct{}),
	}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p.cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "PYTHONUNBUFFERED=1")
	var err error
	p.stdin, err = p.cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	stderr, err := p.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	var reading sync.WaitGroup
	for _, out := range []io.Reader{stdout, stderr} {
		reading.Go(func() { p.read(out, each) })
	}
	go func() {
		reading.Wait()
		err := p.cmd.Wait()
		p.code = p.cmd.ProcessState.ExitCode()
		if err != nil && !errors.As(err, new(*exec.ExitError)) {
			p.add("cannot wait for the program: " + err.Error())
		}
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.kill()
		p.stdin.Close()
		if t.Failed() {
			t.Logf("the end of the output of %s:\n%s", p.name, p.tail(80))
		}
	})
	return p
}

func (p *process) read(from io.Reader, each func(line string)) {
	r := bufio.NewReader(from)
	for {
		line, err := r.ReadString('\n')
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			if each != nil {
				each(line)
			}
			p.add(line)
		}
		if err != nil {
			return
		}
	}
}

func (p *process) add(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines = append(p.lines, line)
	if isDebug(line) {
		p.debug++
	}
	if p.debug > maxDebug {
		p.lines = slices.DeleteFunc(p.lines, func(line string) bool {
			old := p.debug > maxDebug/2 && isDebug(line)
			if old {
				p.debug--
			}
			return old
		})
	}
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines, "\n")
}

// tail returns the last lines of the output.
func (p *process) tail(n int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines[max(0, len(p.lines)-n):], "\n")
}

// line waits for a line that contains text, at any time since the start, and returns it.
func (p *process) line(text string) string {
	p.t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		p.mu.Lock()
		lines, changed := p.lines, p.changed
		for _, line := range lines {
			if strings.Contains(line, text) {
				p.mu.Unlock()
				return line
			}
		}
		p.mu.Unlock()
		select {
		case <-changed:
		case <-p.ended:
			select {
			case <-changed: // its last line
				continue
			default:
			}
			p.t.Fatalf("%s has ended with status %d without a line %q:\n%s", p.name, p.code, text, p.output())
		case <-timer.C:
			p.t.Fatalf("%s has printed no line %q:\n%s", p.name, text, p.output())
		}
	}
}

// signal sends a signal to the process group. One that has ended is no error. One that is to stop has stopped when
// signal returns.
func (p *process) signal(s syscall.Signal) {
	_ = syscall.Kill(-p.cmd.Process.Pid, s)
	for deadline := time.Now().Add(patience); s == syscall.SIGSTOP && !p.hasStopped(); {
		if time.Now().After(deadline) {
			p.t.Fatal("the process does not stop")
		}
		time.Sleep(time.Millisecond)
	}
}

// hasStopped reports whether no thread of the process runs.
func (p *process) hasStopped() bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.cmd.Process.Pid))
	for _, file := range threads {
		stat, err := os.ReadFile(file)
		if _, state, _ := strings.Cut(string(stat), ") "); err == nil && !strings.HasPrefix(state, "T") {
			return false
		}
	}
	return true
}

// kill ends the process at once and waits for its end.
func (p *process) kill() {
	select {
	case <-p.ended:
		return
	default:
	}
	p.signal(syscall.SIGKILL)
	<-p.ended
}

// stop sends SIGTERM and returns the exit status.
func (p *process) stop() int {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	return p.exit()
}

// exit waits for the end of the process and returns its exit status.
func (p *process) exit() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.t.Fatalf("%s has not ended:\n%s", p.name, p.output())
	}
	return p.code
}

// logLine is what a node logs about a room.
type logLine struct {
	Message string    `json:"message"`
	Time    time.Time `json:"time"`
	Node    string    `json:"node"`
	Room    string    `json:"room"`
	Token   int64     `json:"token"`
	Life    int64     `json:"life"`
	By      int64     `json:"by"`
	Value   int64     `json:"value"`
}

// runOf returns the execution of a call that a line of a node's log tells of.
func runOf(line string) (history.Run, bool) {
	var l logLine
	if !strings.Contains(line, `"room incremented"`) || json.Unmarshal([]byte(line), &l) != nil {
		return history.Run{}, false
	}
	life := history.Life{Node: l.Node, Token: l.Token, Number: l.Life}
	return history.Run{Object: l.Room, Life: life, By: l.By, Value: l.Value, At: l.Time}, true
}
