package actor

import (
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/perspectivebroker/pb/internal/usercode"

	"github.com/rs/zerolog"
)

// Dispatcher runs the turns of actors on goroutines that it reuses. It starts a goroutine only if none is idle, because
// starting one for each turn, as protoactor does, costs several times as much as the turn: its stack has to grow each
// time. There is no queue and no upper bound, so a scheduled turn runs however many others are blocked.
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
	gone   bool          // done is closed
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

// Schedule runs fn soon on another goroutine. It also works after the Runtime was closed, for actors that have yet to
// stop.
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
	// Deferred, because a turn may call runtime.Goexit.
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

// run recovers a panic of fn, which would end the process. Mailboxes recover the panics of handlers, so this one comes
// from a supervisor's strategy or from a bug.
func (d *Dispatcher) run(fn func()) {
	defer func() {
		if r := recover(); r != nil {
			usercode.Log(func() {
				d.logger.Error().Any("panic", usercode.PanicText(r)).Bytes("stack", debug.Stack()).
					Msg("a scheduled function panicked")
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

// close stops the workers and returns when all of them have ended, including those in a turn.
func (d *Dispatcher) close() {
	d.mu.Lock()
	d.closed.Store(true)
	d.finish()
	d.mu.Unlock()
	for {
		select {
		case d.work <- nil: // to a worker that went idle before closed was set
		case <-d.done:
			return
		}
	}
}

// busy returns the number of workers that are in a turn or about to begin one.
func (d *Dispatcher) busy() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return max(0, d.live-int(d.idle.Load()))
}
