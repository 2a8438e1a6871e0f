package actor

import (
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/perspectivebroker/pb/internal/usercode"

	"github.com/rs/zerolog"
)

// Dispatcher runs the turns of actors on goroutines that it keeps: a turn is
// handed to a goroutine that waits for work, and a new one is started only when none
// waits. Starting one for each turn, as upstream does, costs several times the turn, because its stack
// has to grow anew. There is no queue and no upper bound: a turn that
// is scheduled runs, however many of them are blocked.
type Dispatcher struct {
	work       chan func() // unbuffered: a send succeeds only if a worker waits
	idle       atomic.Int32
	maxIdle    int32
	throughput int
	logger     *zerolog.Logger

	closed atomic.Bool
	mu     sync.Mutex
	live   int           // workers, guarded by mu
	done   chan struct{} // closed when closed is set and live is zero, guarded by mu
	gone   bool          // done has been closed
}

func newDispatcher(maxIdle, throughput int, logger *zerolog.Logger) *Dispatcher {
	return &Dispatcher{
		work:       make(chan func()),
		maxIdle:    int32(min(maxIdle, 1<<20)),
		throughput: throughput,
		logger:     logger,
		done:       make(chan struct{}),
	}
}

// Schedule runs fn soon, on another goroutine. It does so after the Runtime was closed as well, for
// actors that have still to stop.
func (d *Dispatcher) Schedule(fn func()) {
	select {
	case d.work <- fn:
	default:
		d.mu.Lock()
		d.live++
		d.mu.Unlock()
		go d.worker(fn)
	}
}

// Throughput returns how many messages an actor may handle before it yields.
func (d *Dispatcher) Throughput() int { return d.throughput }

func (d *Dispatcher) worker(fn func()) {
	// A turn may end the goroutine with runtime.Goexit: the count must be right even then.
	defer d.leave()
	for {
		d.run(fn)
		if d.idle.Add(1) > d.maxIdle || d.closed.Load() {
			d.idle.Add(-1)
			return
		}
		fn = <-d.work
		d.idle.Add(-1)
		if fn == nil {
			return
		}
	}
}

// run keeps a worker alive through a panic. Mailboxes recover those of handlers, so one that
// arrives here comes from a supervisor's strategy or from a bug, and would end the process.
func (d *Dispatcher) run(fn func()) {
	defer func() {
		if r := recover(); r != nil {
			usercode.Log(func() {
				d.logger.Error().Any("panic", usercode.PanicText(r)).Bytes("stack", debug.Stack()).
					Msg("a scheduled function panicked outside of any actor's handler")
			})
		}
	}()
	fn()
}

func (d *Dispatcher) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.live--
	d.finish()
}

func (d *Dispatcher) finish() {
	if d.closed.Load() && d.live == 0 && !d.gone {
		d.gone = true
		close(d.done)
	}
}

// close ends the workers and returns when all of them have gone, those that are in a turn included.
func (d *Dispatcher) close() {
	d.mu.Lock()
	d.closed.Store(true)
	d.finish()
	d.mu.Unlock()
	for {
		select {
		case d.work <- nil: // a worker that went idle before it could see closed
		case <-d.done:
			return
		}
	}
}

// busy counts the workers that are in a turn, or about to be.
func (d *Dispatcher) busy() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return max(0, d.live-int(d.idle.Load()))
}
