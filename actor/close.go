package actor

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perspectivebroker/pb/internal/usercode"

	"github.com/rs/zerolog"
)

// Phase is a step of [Runtime.Close]. The phases run in the order of their constants. The hooks of one phase run
// concurrently; the next phase begins when all of them have returned or the context has ended.
type Phase uint8

// The phases of Close.
const (
	PhaseRefuse     Phase = iota // accept nothing new: stop listeners and dialers
	PhaseDrain                   // wait for answers under way and flush them
	PhaseDisconnect              // close the sockets
	PhaseStop                    // stop the actors
	phases
)

func (p Phase) String() string {
	if p < phases {
		return [phases]string{"refuse", "drain", "disconnect", "stop"}[p]
	}
	return fmt.Sprintf("phase %d", uint8(p))
}

// ending is the state of Close.
type ending struct {
	begin   sync.Once
	closing chan struct{} // Close has begun
	closed  chan struct{} // everything has ended
	result  error         // valid once closed is closed

	mu      sync.Mutex
	ctx     context.Context // of the first Close; nil before
	next    Phase           // the first phase that has not begun
	hooks   [phases]map[*hook]struct{}
	reports map[*report]struct{}
	errs    []error
	waiting bool // Close waits for the dispatcher
}

type hook struct {
	name string
	f    func(context.Context) error
}

type report struct{ f func() []string }

func (e *ending) init() {
	e.closing = make(chan struct{})
	e.closed = make(chan struct{})
	for i := range e.hooks {
		e.hooks[i] = make(map[*hook]struct{})
	}
	e.reports = make(map[*report]struct{})
}

// OnClose makes Close run f in the given phase. The context that f gets ends when the first caller of Close stops
// waiting. If the phase has already begun, f runs at once in its own goroutine, so nothing that starts during Close
// outlives it. Close returns the errors of all hooks; an error does not stop the later phases. cancel removes f if it
// has not started, and does not wait.
func (rt *Runtime) OnClose(phase Phase, name string, f func(ctx context.Context) error) (cancel func()) {
	if phase >= phases {
		phase = PhaseStop
	}
	if f == nil || rt.Check() != nil {
		return func() {}
	}
	h := &hook{name: name, f: f}
	e := &rt.ending
	e.mu.Lock()
	if phase >= e.next {
		e.hooks[phase][h] = struct{}{}
		e.mu.Unlock()
		return func() {
			e.mu.Lock()
			defer e.mu.Unlock()
			delete(e.hooks[phase], h)
		}
	}
	ctx := e.ctx
	e.mu.Unlock()
	late := func() { rt.runHook(ctx, phase, h) }
	if !rt.tasks.start(hookName(phase, name), late) {
		go late()
	}
	return func() {}
}

// OnStraggler registers f, which Close calls if its context ends before everything has ended. f returns the names of
// what still runs. It may be called from any goroutine and must not block.
func (rt *Runtime) OnStraggler(f func() []string) (cancel func()) {
	if f == nil || rt.Check() != nil {
		return func() {}
	}
	r := &report{f}
	e := &rt.ending
	e.mu.Lock()
	defer e.mu.Unlock()
	e.reports[r] = struct{}{}
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.reports, r)
	}
}

// Closing returns a channel that is closed when Close begins.
func (rt *Runtime) Closing() <-chan struct{} {
	if rt.Check() != nil {
		over := make(chan struct{})
		close(over)
		return over
	}
	return rt.ending.closing
}

// Close runs the phases in order and then waits for every goroutine of the Runtime. It returns the errors of the hooks.
// If ctx ends first, Close returns a *StillRunningError a few milliseconds later, and the closing goes on without
// waiting between the phases.
//
// Close may be called several times and concurrently: all callers wait for the same end and get the same result. It
// must not be called in an actor's turn or in a goroutine started by Go, because it would wait for itself.
func (rt *Runtime) Close(ctx context.Context) error {
	if err := rt.Check(); err != nil {
		return err
	}
	if ctx == nil {
		return ErrNilContext
	}
	e := &rt.ending
	e.begin.Do(func() {
		e.mu.Lock()
		e.ctx = ctx
		e.mu.Unlock()
		close(e.closing)
		go rt.shutdown(ctx)
	})
	select {
	case <-e.closed:
		return e.result
	default:
	}
	select {
	case <-e.closed:
		return e.result
	case <-ctx.Done():
	}
	// Do not name what ends together with its context.
	grace := time.NewTimer(closeGrace)
	defer grace.Stop()
	select {
	case <-e.closed:
		return e.result
	case <-grace.C:
		return &StillRunningError{Names: rt.stragglers(), Cause: contextError(ctx)}
	}
}

// closeGrace is how long Close keeps waiting after its context has ended.
const closeGrace = 10 * time.Millisecond

func (rt *Runtime) shutdown(ctx context.Context) {
	e := &rt.ending
	for p := PhaseRefuse; p < phases; p++ {
		rt.runPhase(ctx, p)
	}
	rt.tasks.seal()
	if rt.elastic != nil {
		e.mu.Lock()
		e.waiting = true
		e.mu.Unlock()
		rt.elastic.close()
	}
	if rt.own && !rt.system.IsStopped() { // a second Shutdown would panic
		rt.system.Shutdown()
		// protoactor starts a goroutine after a dead letter, and nothing reports its end.
		time.Sleep(2 * deadLetterInterval)
	}
	e.mu.Lock()
	e.result = errors.Join(e.errs...)
	e.waiting = false
	e.mu.Unlock()
	close(e.closed)
}

func (rt *Runtime) runPhase(ctx context.Context, p Phase) {
	e := &rt.ending
	e.mu.Lock()
	e.next = p + 1
	hooks := e.hooks[p]
	e.hooks[p] = nil
	e.mu.Unlock()

	if len(hooks) == 0 {
		return
	}
	var running atomic.Int32
	running.Store(int32(len(hooks)))
	all := make(chan struct{})
	for h := range hooks {
		rt.tasks.start(hookName(p, h.name), func() {
			defer func() { // also if the hook calls runtime.Goexit
				if running.Add(-1) == 0 {
					close(all)
				}
			}()
			rt.runHook(ctx, p, h)
		})
	}
	select {
	case <-all:
	case <-ctx.Done():
	}
}

func (rt *Runtime) runHook(ctx context.Context, p Phase, h *hook) {
	err := func() (err error) {
		defer func() {
			if r := recover(); r != nil {
				usercode.Log(func() {
					rt.logger.Error().Str("hook", h.name).Any("panic", usercode.PanicText(r)).Bytes("stack", debug.Stack()).
						Msg("a Close hook panicked")
				})
				err = errors.New("panicked; the log has the details")
			}
		}()
		return h.f(ctx)
	}()
	if err == nil {
		return
	}
	e := &rt.ending
	e.mu.Lock()
	defer e.mu.Unlock()
	e.errs = append(e.errs, usercode.Wrap(err, "actor: close: %s", hookName(p, h.name)))
}

func hookName(p Phase, name string) string { return p.String() + ": " + name }

// stragglers returns the names of what Close still waits for.
func (rt *Runtime) stragglers() []string {
	names := rt.tasks.running()
	e := &rt.ending
	e.mu.Lock()
	reports := make([]*report, 0, len(e.reports))
	for r := range e.reports {
		reports = append(reports, r)
	}
	waiting := e.waiting
	e.mu.Unlock()
	for _, r := range reports {
		if p := usercode.Do(func() { names = append(names, r.f()...) }); p != nil {
			rt.logFunction("a function given to OnStraggler panicked", p)
		}
	}
	if waiting {
		names = append(names, fmt.Sprintf("dispatcher: %d turns of actors", rt.elastic.busy()))
	}
	slices.Sort(names)
	return names
}

func contextError(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if cause == nil || usercode.Is(err, cause) {
		return err
	}
	return &endedContext{err: err, cause: cause}
}

// endedContext is a context's error together with its cause, which may be the application's own error.
type endedContext struct{ err, cause error }

func (e *endedContext) Error() string   { return e.err.Error() + ": " + usercode.ErrorText(e.cause) }
func (e *endedContext) Unwrap() []error { return []error{e.err, e.cause} }

// HasBegun reports whether Close has reached the phase.
func (rt *Runtime) HasBegun(phase Phase) bool {
	if rt.Check() != nil {
		return false
	}
	e := &rt.ending
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.next > phase
}

// tasks is the set of goroutines that the Runtime started and that Close waits for.
type tasks struct {
	logger *zerolog.Logger

	mu     sync.Mutex
	cond   sync.Cond
	count  int
	names  map[string]int
	sealed bool // no new tasks are accepted
}

func (t *tasks) init(logger *zerolog.Logger) {
	t.logger = logger
	t.cond.L = &t.mu
	t.names = make(map[string]int)
}

// Go runs f in a goroutine that Close waits for and can name. It returns false without running f once Close has stopped
// waiting for tasks; until then it runs f, also during Close. A panic in f is logged. f should return when
// [Runtime.Closing] is closed or when a hook given to [Runtime.OnClose] tells it to.
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

// seal waits until no task runs, and rejects new ones from then on.
func (t *tasks) seal() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.count > 0 {
		t.cond.Wait()
	}
	t.sealed = true
}

// running returns the sorted names of the tasks. A name that several tasks share appears once, with their number.
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
