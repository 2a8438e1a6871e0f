package flavors

import (
	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/seam"
	"github.com/perspectivebroker/pb/internal/usercode"
	"github.com/perspectivebroker/pb/supervision"
)

// Cacheable makes the struct that embeds it an original of which peers keep copies that are updated. The first time it
// is sent over a connection, its state is sent and an [Observer] for the connection is added; after that only a mention
// is sent. The observer is removed when the peer releases its copy or the connection ends.
//
// The original and its observers are one actor. Changes of the original go through [Update], which runs in the actor's
// turn. So do these optional methods of the struct:
//
//	StateToCacheAndObserveFor(perspective any, observer *flavors.Observer) any
//	StoppedObserving(perspective any, observer *flavors.Observer)
//
// The state is taken and the observer added in one turn, so a peer misses no update and gets none twice. Without the
// first method the state is that of a [Copyable]; the methods of a Copyable for state and class work here too. Neither
// method may wait for the observer's connection.
//
// There is one observer for each connection. Several users of the same connection share it, and see the state that was
// made for the first. A panic in one of these methods restarts the actor; the observers stay.
//
// The struct is sent as a pointer and must not be copied. The zero value is ready for use.
type Cacheable struct{ anchor }

func (*Cacheable) branch() supervision.Branch { return supervision.Caches }
func (*Cacheable) prefix() Prefix             { return PrefixRemote }

type (
	stateToCacheFor interface {
		StateToCacheAndObserveFor(perspective any, observer *Observer) any
	}
	observingStopper interface {
		StoppedObserving(perspective any, observer *Observer)
	}
)

// JellyTo leaves a hole in which the broker writes the state with a new luid, or [cached luid]. Package jelly calls it.
func (*Cacheable) JellyTo(e *jelly.Encoder, self any) error {
	if err := refuseCopy(e, self); err != nil {
		return err
	}
	if e.Invoker() == nil {
		return Copyable{}.JellyTo(e, self)
	}
	if s, ok := e.Invoker().(seam.Substituter); ok {
		if other := s.SubstituteCache(self, e.Viewer()); other != nil {
			return e.Value(other)
		}
	}
	core, err := coreToSend(e, self)
	if err != nil {
		return err
	}
	class := classOf(self, e.Viewer())
	if err := jelly.CheckClass(class); err != nil {
		return &jelly.EncodeError{Err: err}
	}
	e.Hole(cacheHole(e, core, class))
	return nil
}

// cacheHole is the placeholder of an original. Its updates are encoded for the perspective that it is sent to, or for
// the viewer if there is none.
func cacheHole(e *jelly.Encoder, core seam.Core, class string) seam.Cache {
	hole := seam.Cache{Core: core, Class: class, Perspective: e.Perspective(), Viewer: e.Viewer()}
	if hole.Perspective == nil {
		hole.Perspective = hole.Viewer
	}
	return hole
}

// Do runs f in the turn of the original's actor, as [Referenceable.Do] does. To tell observers of a change, use
// [Update].
func (c *Cacheable) Do(f func()) *actor.Deferred { return c.doAnchored(f) }

// Update runs f in the turn of the original's actor, to change the original and tell its observers in one step. The
// Deferred completes when f has returned, and fails if it panicked or the original has stopped.
//
//	flavors.Update(pond, func(observers flavors.Observers) {
//		pond.ducks = append(pond.ducks, duck)
//		observers.CallRemote("addDuck", duck)
//	})
func Update(cacheable interface {
	anchored
	Observers() Observers
}, f func(observers Observers)) *actor.Deferred {
	if f == nil {
		return actor.Failed(errNoFunction)
	}
	// An original that was never sent gets its core here, so that a first send on another goroutine waits for f.
	core, err := coreOf(cacheable)
	if err != nil {
		return actor.Failed(err)
	}
	return core.do(func() { f(cacheable.Observers()) })
}

// Observers returns the present observers, oldest first. Only functions that run in the original's turn may call it.
func (c *Cacheable) Observers() Observers {
	core := c.core.Load()
	if core == nil {
		return Observers{}
	}
	core.mu.Lock()
	defer core.mu.Unlock()
	if core.active == nil {
		return Observers{}
	}
	return Observers{core.active.observers}
}

// observe is the message that asks an original for its state and adds an observer.
type observe struct {
	observer *Observer
	reply    func(state *jelly.Fragment, err error)
}

// Observe asks the original for its state and adds the observer, in one turn. It calls reply once, in that turn, with a
// fragment of one value. The caller must hold the core.
func (c *objectCore) Observe(observer seam.Observer, reply func(state *jelly.Fragment, err error)) {
	if err := c.post(&observe{observerOf(observer), reply}); err != nil {
		reply(nil, err)
	}
}

// Drop implements actor.Droppable.
func (m *observe) Drop(cause error) { m.reply(nil, cause) }

// run takes the state in the original's turn.
func (m *observe) run(o *object) {
	c := o.core
	said := false
	defer func() {
		if !said { // The method that gives the state called runtime.Goexit.
			m.reply(nil, actor.ErrGoexit)
		}
	}()
	err := o.repair()
	var fragment *jelly.Fragment
	if err == nil {
		fragment, err = m.state(c.Value())
	}
	said = true
	if err != nil {
		p, panicked := err.(*PanicError) //nolint:errorlint // One that the user's code returned is wrapped.
		if panicked && !o.broken {
			p.What = "the code that gives the state of a " + c.typeName()
			c.logPanic(m.observer.conn.Logger(), p)
			defer panic(p) // The supervisor restarts the actor; the observers stay.
		}
		m.reply(nil, err)
		return
	}
	c.addObserver(m.observer)
	m.reply(fragment, nil)
}

func (m *observe) state(value any) (*jelly.Fragment, error) {
	o := m.observer
	context := o.conn.JellyContext(o.perspective)
	context.Root, context.Viewer = "state", o.viewer
	fragment := jelly.NewFragment(context)
	err := encodeSafely(fragment, func() error {
		if v, ok := value.(stateToCacheFor); ok {
			return fragment.Jelly(v.StateToCacheAndObserveFor(o.viewer, o))
		}
		return fragment.Jelly(plainState{value})
	})
	if err != nil {
		fragment.Free()
		return nil, err
	}
	return fragment, nil
}

// plainState is the state of an original without StateToCacheAndObserveFor.
type plainState struct{ of any }

// JellyTo writes the state alone, without the class.
func (s plainState) JellyTo(e *jelly.Encoder, _ any) error { return jellyState(e, s.of) }

// unobserve is the message that removes an observer.
type unobserve struct {
	observer *Observer
	done     func()
}

// Unobserve removes an observer and tells the original, exactly once. done is called afterwards; it may be nil.
func (c *objectCore) Unobserve(observer seam.Observer, done func()) {
	m := &unobserve{observerOf(observer), done}
	if err := c.post(m); err != nil {
		m.Drop(err)
	}
}

// Drop implements actor.Droppable. The original has stopped, so it is not told.
func (m *unobserve) Drop(error) {
	if m.done != nil {
		m.done()
	}
}

// run removes the observer. Only the first run finds it and tells the original.
func (m *unobserve) run(o *object) {
	defer m.Drop(nil)
	c := o.core
	if !c.removeObserver(m.observer) {
		return
	}
	v, ok := c.Value().(observingStopper)
	if !ok {
		return
	}
	if p := usercode.Do(func() { v.StoppedObserving(m.observer.viewer, m.observer) }); p != nil {
		failure := &PanicError{What: "the StoppedObserving method of a " + c.typeName(), Value: p.Value, Stack: p.Stack}
		c.logPanic(m.observer.conn.Logger(), failure)
		panic(failure)
	}
}

func (c *objectCore) addObserver(o *Observer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.activeLocked()
	a.observers = append(a.observers, o)
}

func (c *objectCore) removeObserver(o *Observer) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.active == nil {
		return false
	}
	old := c.active.observers
	for i, other := range old {
		if other == o {
			// A new slice, because an Observers of this turn may share the old one.
			c.active.observers = append(append(make([]*Observer, 0, len(old)-1), old[:i]...), old[i+1:]...)
			return true
		}
	}
	return false
}
