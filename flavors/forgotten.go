package flavors

import (
	"runtime"
	"sync"
	"time"

	"github.com/perspectivebroker/pb/actor"
)

// sweepEvery is how long a handle that was collected waits, at the most, until its peer is told.
const sweepEvery = 200 * time.Millisecond

// sweeper tells peers of handles that the garbage collector has found forgotten. The collector's own goroutine may only
// note them: it belongs to no bubble of testing/synctest, so if it woke an actor that lives in one, the process would
// end. A timer of the runtime's looks for them, which runs only while there are handles to be forgotten.
type sweeper struct {
	rt *actor.Runtime

	mu sync.Mutex
	// Guarded by mu.
	watched   int // handles that have not been collected
	forgotten []forgettable
	armed     bool
}

// forgettable is what outlives a handle.
type forgettable interface{ forget() }

type sweeperKey struct{}

func sweeperOf(rt *actor.Runtime) *sweeper {
	return rt.Extension(sweeperKey{}, func() any { return &sweeper{rt: rt} }).(*sweeper)
}

// watch is called for each handle, by whoever makes it: the timer belongs where that is.
func (s *sweeper) watch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watched++
	s.armLocked()
}

func (s *sweeper) armLocked() {
	if !s.armed && s.watched > 0 {
		s.armed = true
		time.AfterFunc(sweepEvery, s.sweep)
	}
}

// forgottenHandle is what is left of a handle, and who sweeps it up.
type forgottenHandle struct {
	sweeper *sweeper
	left    forgettable
}

// watchHandle has what is left of a handle forget once the handle has been collected.
func watchHandle[T any](rt *actor.Runtime, handle *T, left forgettable) {
	s := sweeperOf(rt)
	s.watch()
	runtime.AddCleanup(handle, forgottenHandle.note, forgottenHandle{s, left})
}

// note is called by the garbage collector.
func (f forgottenHandle) note() {
	f.sweeper.mu.Lock()
	defer f.sweeper.mu.Unlock()
	f.sweeper.forgotten = append(f.sweeper.forgotten, f.left)
}

func (s *sweeper) sweep() {
	s.mu.Lock()
	list := s.forgotten
	s.forgotten = nil
	s.watched -= len(list)
	s.armed = false
	if !s.isOver() {
		s.armLocked()
	}
	s.mu.Unlock()
	for _, f := range list {
		f.forget()
	}
}

// isOver says that the runtime closes: its connections end, and nobody need be told of single handles.
func (s *sweeper) isOver() bool {
	select {
	case <-s.rt.Closing():
		return true
	default:
		return false
	}
}
