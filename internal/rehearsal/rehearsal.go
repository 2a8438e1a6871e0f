package rehearsal

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

// Patience is how long anything may take before the test has failed; nothing is timed by it.
const Patience = 60 * time.Second

// Program is an example's main function without the process: what it does with these arguments until ctx ends.
type Program func(ctx context.Context, args []string) error

// Stage is where programs play. What they print goes to it and not to the terminal, so there can be one at a time.
type Stage struct {
	t    *testing.T
	read chan struct{} // closed when there is no more to be read

	mu      sync.Mutex
	lines   []string
	changed chan struct{} // closed and replaced with each line
}

// New takes the place of standard output until the test ends; everything that was started has to have ended by then.
func New(t *testing.T) *Stage {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s := &Stage{t: t, read: make(chan struct{}), changed: make(chan struct{})}
	terminal := os.Stdout
	os.Stdout = w
	go func() {
		defer close(s.read)
		for lines := bufio.NewScanner(r); lines.Scan(); {
			s.add(lines.Text())
		}
	}()
	t.Cleanup(func() {
		os.Stdout = terminal
		w.Close()
		<-s.read
		r.Close()
	})
	return s
}

func (s *Stage) add(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, line)
	close(s.changed)
	s.changed = make(chan struct{})
}

// Start has a program play, and returns what ends it and says how it ended.
func (s *Stage) Start(play Program, args ...string) (end func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- play(ctx, args) }()
	end = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(Patience):
			s.t.Errorf("%v does not end", args)
			return context.DeadlineExceeded
		}
	})
	s.t.Cleanup(func() { _ = end() })
	return end
}

// Run plays a program to its own end.
func (s *Stage) Run(play Program, args ...string) error { return play(s.t.Context(), args) }

// Line waits until a line begins with the text, and returns what follows it there.
func (s *Stage) Line(text string) string {
	s.t.Helper()
	timer := time.NewTimer(Patience)
	defer timer.Stop()
	for {
		s.mu.Lock()
		lines, changed := slices.Clone(s.lines), s.changed
		s.mu.Unlock()
		for _, line := range lines {
			if rest, ok := strings.CutPrefix(line, text); ok {
				return rest
			}
		}
		select {
		case <-changed:
		case <-timer.C:
			s.t.Fatalf("nobody says %q; what was said:\n%s", text, strings.Join(lines, "\n"))
		}
	}
}
