package actor

import (
	"fmt"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/perspectivebroker/pb/internal/usercode"

	"github.com/rs/zerolog"
)

// tasks are the goroutines that a Runtime started and that Close waits for.
type tasks struct {
	logger *zerolog.Logger

	mu     sync.Mutex
	cond   sync.Cond
	count  int
	names  map[string]int
	sealed bool // no more are taken
}

func (t *tasks) init(logger *zerolog.Logger) {
	t.logger = logger
	t.cond.L = &t.mu
	t.names = make(map[string]int)
}

// Go runs f in a goroutine that Close waits for and can name. It reports false, and does not run f, once Close
// has come so far that it waits for nothing more; until then, also while closing, it runs it. A panic in f is logged.
// f should end when [Runtime.Closing] is closed or when a hook given to [Runtime.OnClose] makes it.
func (rt *Runtime) Go(name string, f func()) bool {
	if f == nil || rt.Check() != nil {
		return false
	}
	return rt.tasks.start(name, f)
}

func (t *tasks) start(name string, f func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sealed {
		return false
	}
	t.count++
	t.names[name]++
	go t.run(name, f)
	return true
}

func (t *tasks) run(name string, f func()) {
	defer t.end(name)
	defer func() {
		if r := recover(); r != nil {
			usercode.Log(func() {
				t.logger.Error().Str("task", name).Any("panic", usercode.PanicText(r)).Bytes("stack", debug.Stack()).
					Msg("a goroutine panicked")
			})
		}
	}()
	f()
}

func (t *tasks) end(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count--
	if t.names[name]--; t.names[name] == 0 {
		delete(t.names, name)
	}
	if t.count == 0 {
		t.cond.Broadcast()
	}
}

// seal waits until no task runs, and takes no more from then on.
func (t *tasks) seal() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.count > 0 {
		t.cond.Wait()
	}
	t.sealed = true
}

// running names the tasks, sorted, equal names once with their number.
func (t *tasks) running() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	names := make([]string, 0, len(t.names))
	for name, n := range t.names {
		if n > 1 {
			name = fmt.Sprintf("%s (%d times)", name, n)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
