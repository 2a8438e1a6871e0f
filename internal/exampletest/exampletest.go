package exampletest

import (
	"bufio"
	"context"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Timeout is the timeout of every wait, after which the test fails. No test measures time with it.
const Timeout = 60 * time.Second

// Program is an example's main function: it runs with args until it is done or ctx ends.
type Program func(ctx context.Context, args []string) error

// Runner runs programs and captures their standard output. It replaces os.Stdout, so only one may exist at a time.
type Runner struct {
	t    *testing.T
	read chan struct{} // closed at the end of the output

	mu      sync.Mutex
	lines   []string
	changed chan struct{} // closed and replaced with each line
}

// New replaces os.Stdout until the test ends. Programs that were started must have ended by then.
func New(t *testing.T) *Runner {
	t.Helper()
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r := &Runner{t: t, read: make(chan struct{}), changed: make(chan struct{})}
	stdout := os.Stdout
	os.Stdout = out
	go func() {
		defer close(r.read)
		for lines := bufio.NewScanner(in); lines.Scan(); {
			r.add(lines.Text())
		}
	}()
	t.Cleanup(func() {
		os.Stdout = stdout
		out.Close()
		<-r.read
		in.Close()
	})
	return r
}

func (r *Runner) add(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, line)
	close(r.changed)
	r.changed = make(chan struct{})
}

// Start runs a program in its own goroutine. The returned function cancels the program's context and returns its
// result; it may be called more than once.
func (r *Runner) Start(program Program, args ...string) (end func() error) {
	cancel, wait := r.start(program, args)
	return func() error {
		cancel()
		return wait()
	}
}

// StartUntilEnd is Start for a program that ends by itself. The returned function only waits for the end.
func (r *Runner) StartUntilEnd(program Program, args ...string) (wait func() error) {
	_, wait = r.start(program, args)
	return wait
}

func (r *Runner) start(program Program, args []string) (cancel func(), wait func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- program(ctx, args) }()
	wait = sync.OnceValue(func() error {
		select {
		case err := <-ended:
			return err
		case <-time.After(Timeout):
			r.t.Errorf("the program with arguments %v did not end within %v", args, Timeout)
			return context.DeadlineExceeded
		}
	})
	r.t.Cleanup(func() {
		cancel()
		_ = wait()
	})
	return cancel, wait
}

// Run runs a program until it returns.
func (r *Runner) Run(program Program, args ...string) error { return program(r.t.Context(), args) }

// Line waits for a line that begins with text, printed at any time since New, and returns the rest of that line.
func (r *Runner) Line(text string) string {
	r.t.Helper()
	timer := time.NewTimer(Timeout)
	defer timer.Stop()
	for {
		r.mu.Lock()
		lines, changed := slices.Clone(r.lines), r.changed
		r.mu.Unlock()
		for _, line := range lines {
			if rest, ok := strings.CutPrefix(line, text); ok {
				return rest
			}
		}
		select {
		case <-changed:
		case <-timer.C:
			r.t.Fatalf("no line begins with %q; output:\n%s", text, strings.Join(lines, "\n"))
		}
	}
}
