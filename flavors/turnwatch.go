package flavors

import (
	"strconv"
	"sync"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/internal/usercode"
	"github.com/perspectivebroker/pb/supervision"
)

// turnWatch lists the objects that have an actor. It logs a warning for a method that holds up its object for long. It
// looks at all objects, a few times within that time, so that a call only has to note its method, under a lock that it
// takes anyway.
type turnWatch struct {
	rt    *actor.Runtime
	limit time.Duration // there are no warnings if it is not positive

	mu sync.Mutex
	// Guarded by mu.
	first  *objectCore // list of the objects that have an actor, the newest first
	length int
	armed  bool

	list []*objectCore // of one look, which is never concurrent with another
}

// turnWatchEntry is an object's part of the list.
type turnWatchEntry struct {
	// Guarded by the watch's lock.
	by         *turnWatch // nil if the object is not in the list
	prev, next *objectCore

	// Only looks use these.
	turn   uint64 // the turn that ran at the last look
	since  time.Time
	warned bool
}

// looksPerLimit is how often a turn is looked at before it is long enough for a warning.
const looksPerLimit = 4

type turnWatchKey struct{}

func turnWatchOf(rt *actor.Runtime) *turnWatch {
	return rt.Extension(turnWatchKey{}, func() any {
		return &turnWatch{rt: rt, limit: supervision.TreeOf(rt).TurnWarning()}
	}).(*turnWatch)
}

// beginTurnLocked notes what runs next. The names of peers' methods are cleaned when they are logged.
func (c *objectCore) beginTurnLocked(message any) {
	a := c.active
	a.turns++
	switch m := message.(type) {
	case *Invocation:
		a.working = m.Method
	case *turn:
		a.working = "a function given to Do or Then"
	case *observe:
		a.working = "StateToCacheAndObserveFor"
	case *unobserve:
		a.working = "StoppedObserving"
	}
}

// watchTurns enters an object whose actor has started. The caller holds the lock of the core.
func (c *objectCore) watchTurns() {
	w := turnWatchOf(c.rt.Load())
	w.mu.Lock()
	defer w.mu.Unlock()
	e := &c.active.watch
	if e.by != nil {
		return
	}
	e.by, e.prev, e.next = w, nil, w.first
	if w.first != nil {
		w.first.active.watch.prev = c
	}
	w.first = c
	w.length++
	w.armLocked()
}

// unwatchTurns takes out an object whose actor ends. The caller holds the lock of the core.
func (c *objectCore) unwatchTurns() {
	e := &c.active.watch
	w := e.by // It is written under the lock of the core, too.
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if e.prev != nil {
		e.prev.active.watch.next = e.next
	} else {
		w.first = e.next
	}
	if e.next != nil {
		e.next.active.watch.prev = e.prev
	}
	e.by, e.prev, e.next = nil, nil, nil
	w.length--
}

func (w *turnWatch) armLocked() {
	if w.limit > 0 && !w.armed && w.first != nil {
		w.armed = true
		time.AfterFunc(max(w.limit/looksPerLimit, time.Millisecond), w.look)
	}
}

// look visits all objects.
func (w *turnWatch) look() {
	w.mu.Lock()
	for c := w.first; c != nil; c = c.active.watch.next {
		w.list = append(w.list, c)
	}
	w.mu.Unlock()
	now := time.Now()
	for _, c := range w.list {
		w.visit(c, now)
	}
	clear(w.list)
	w.list = w.list[:0]
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armed = false
	w.armLocked()
}

func (w *turnWatch) visit(c *objectCore, now time.Time) {
	c.mu.Lock()
	a := c.active
	turn, method, value, waiting := a.turns, a.working, c.value, a.queue.len()
	c.mu.Unlock()
	e := &a.watch
	switch {
	case method == "":
		e.turn = 0
		return
	case e.turn != turn:
		e.turn, e.since, e.warned = turn, now, false
		return
	case e.warned || now.Sub(e.since) < w.limit:
		return
	}
	e.warned = true
	method = strconv.Quote(clipText(method, maxQuotedName))
	usercode.Log(func() {
		w.rt.Logger().Warn().Str("object", typeName(value)).Str("method", method[1:len(method)-1]).
			Dur("for", now.Sub(e.since)).Int("waiting", waiting).
			Msg("a method holds up its object: if it waits for a call, return the Deferred of CallRemote instead")
	})
}
