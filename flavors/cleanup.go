package flavors

import (
	"runtime"
	"sync"
	"time"

	"github.com/perspectivebroker/pb/actor"
)

// sweepEvery is the longest time after which the peer is told of a collected handle.
const sweepEvery = 200 * time.Millisecond

// sweeper gives back handles that were garbage collected. The collector's goroutine may only note them: it belongs to
// no bubble of testing/synctest, and waking an actor in a bubble from outside would end the process. So a timer looks
// for them. It runs only while there are handles.
type sweeper struct {
	rt *actor.Runtime

	mu sync.Mutex
	// Guarded by mu.
	watched   int // handles that have not been collected
	forgotten []forgettable
	armed     bool
}

// forgettable is the part of a handle that outlives it.
type forgettable interface{ forget() }

type sweeperKey struct{}

func sweeperOf(rt *actor.Runtime) *sweeper {
	return rt.Extension(sweeperKey{}, func() any { return &sweeper{rt: rt} }).(*sweeper)
}

// watch is called for each handle, on the goroutine that makes it: the timer must belong to the same bubble.
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

// collectedHandle is what the collector notes.
type collectedHandle struct {
	sweeper *sweeper
	left    forgettable
}

// watchHandle arranges that forget is called on what is left of a handle after the handle has been collected.
func watchHandle[T any](rt *actor.Runtime, handle *T, left forgettable) {
	s := sweeperOf(rt)
	s.watch()
	runtime.AddCleanup(handle, collectedHandle.note, collectedHandle{s, left})
}

// note is called by the garbage collector.
func (f collectedHandle) note() {
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

// isOver reports whether the runtime closes: its connections end, so single handles need not be given back.
func (s *sweeper) isOver() bool {
	select {
	case <-s.rt.Closing():
		return true
	default:
		return false
	}
}
