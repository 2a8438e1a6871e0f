package flavors

import (
	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/usercode"
	"github.com/perspectivebroker/pb/supervision"
)

// Cacheable makes the struct that embeds it an original that is copied to a peer once and kept up to date there. The
// first time it is sent over a connection its state goes along, and an [Observer] stands for that connection from then
// on; later it is only mentioned. When the peer has let go of it, or its connection has ended, the observer is gone.
//
// The original and its set of observers are one actor. What changes the original goes through [Update], and so runs in
// that actor's turn, as do these methods, all of which the struct may have or not:
//
//	StateToCacheAndObserveFor(perspective any, observer *flavors.Observer) any
//	StoppedObserving(perspective any, observer *flavors.Observer)
//
// Taking the state and registering the observer are one step, so a peer misses no update and gets none twice. Without
// the first method the state is what it is for a [Copyable], whose methods for state and class all count here too. Both
// must not wait for the connection of their observer.
//
// There is one observer for a connection: users who are in by way of the same one see what the first of them was shown.
// A panic in one of these methods is the supervisor's to deal with; the observers stay.
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

// JellyTo leaves room for what only the broker can write: the state with a new luid, or [cached luid]. It is called by
// the jelly.
func (*Cacheable) JellyTo(e *jelly.Encoder, self any) error {
	if err := refuseCopy(e, self); err != nil {
		return err
	}
	if e.Invoker() == nil {
		return Copyable{}.JellyTo(e, self)
	}
	core, err := CoreOf(self)
	if err != nil {
		return err
	}
	class := classOf(self, e.Perspective())
	if err := jelly.CheckClass(class); err != nil {
		return &jelly.EncodeError{Err: err}
	}
	e.Hole(CacheHole{Core: core, Class: class, Perspective: e.Perspective()})
	return nil
}

// Do runs f in the turn of the original's actor, as [Referenceable.Do] does. A change that observers are to learn of is
// an [Update].
func (c *Cacheable) Do(f func()) *actor.Deferred { return c.doAnchored(f) }

// Update changes an original and tells its observers, in one step: f runs in the turn of the original's actor. The
// Deferred completes when f has run, and fails if it panicked or the original has stopped.
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
	// Even an original that nobody has met gets its core here, so that a first send in another goroutine waits for the
	// change.
	core, err := CoreOf(cacheable)
	if err != nil {
		return actor.Failed(err)
	}
	return core.do(func() { f(cacheable.Observers()) })
}

// Observers are those who hold the original at this moment, in the order in which they came. It is for the methods of
// the original and for functions that run in its turn.
func (c *Cacheable) Observers() Observers {
	core := c.core.Load()
	if core == nil {
		return Observers{}
	}
	core.mu.Lock()
	defer core.mu.Unlock()
	return Observers{core.observers}
}

// CacheHole stands in a fragment for a Cacheable. Package broker writes [cached luid] there, or [class luid state] the
// first time.
type CacheHole struct {
	Core        *Core
	Class       string
	Perspective any
}

// observe is the request for state and registration.
type observe struct {
	observer *Observer
	reply    func(state *jelly.Fragment, err error)
}

// Observe asks the original for its state and registers the observer, in one turn. reply is called once, in that turn,
// with the state as a fragment of one value. The caller holds the core.
func (c *Core) Observe(observer *Observer, reply func(state *jelly.Fragment, err error)) {
	if err := c.post(&observe{observer, reply}); err != nil {
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
		if !said { // The state ended the goroutine.
			m.reply(nil, actor.ErrGoexit)
		}
	}()
	err := o.mend()
	var fragment *jelly.Fragment
	if err == nil {
		fragment, err = m.state(c.Value())
	}
	said = true
	if err != nil {
		p, panicked := err.(*PanicError) //nolint:errorlint // It is what encodeSafely has made; one that the user's code returned is wrapped.
		if panicked && !o.unsound {
			p.What = "the code that gives the state of a " + c.typeName()
			c.logPanic(m.observer.conn.Logger(), p)
			defer panic(p) // The supervisor decides; the observers that there are survive.
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
	context.Root = "state"
	fragment := jelly.NewFragment(context)
	err := encodeSafely(fragment, func() error {
		if v, ok := value.(stateToCacheFor); ok {
			return fragment.Jelly(v.StateToCacheAndObserveFor(o.perspective, o))
		}
		return fragment.Jelly(plainState{value})
	})
	if err != nil {
		fragment.Free()
		return nil, err
	}
	return fragment, nil
}

// plainState is the state of an original that says nothing special for caches.
type plainState struct{ of any }

// JellyTo writes the state alone, without the class.
func (s plainState) JellyTo(e *jelly.Encoder, _ any) error { return jellyState(e, s.of) }

// unobserve ends an observer.
type unobserve struct {
	observer *Observer
	done     func()
}

// Unobserve takes an observer out and has the original told, exactly once. done is called afterwards; it may be nil.
func (c *Core) Unobserve(observer *Observer, done func()) {
	m := &unobserve{observer, done}
	if err := c.post(m); err != nil {
		m.Drop(err)
	}
}

// Drop implements actor.Droppable: the original has stopped for good, there is nobody to be told.
func (m *unobserve) Drop(error) {
	if m.done != nil {
		m.done()
	}
}

// run tells the original once, because only the first one finds the observer there.
func (m *unobserve) run(c *Core) {
	defer m.Drop(nil)
	if !c.removeObserver(m.observer) {
		return
	}
	v, ok := c.Value().(observingStopper)
	if !ok {
		return
	}
	if p := usercode.Do(func() { v.StoppedObserving(m.observer.perspective, m.observer) }); p != nil {
		failure := &PanicError{What: "the StoppedObserving method of a " + c.typeName(), Value: p.Value, Stack: p.Stack}
		c.logPanic(m.observer.conn.Logger(), failure)
		panic(failure)
	}
}

func (c *Core) addObserver(o *Observer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.observers = append(c.observers, o)
}

func (c *Core) removeObserver(o *Observer) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, other := range c.observers {
		if other == o {
			// A fresh slice: an Observers that was handed out in this turn keeps what it has.
			c.observers = append(append(make([]*Observer, 0, len(c.observers)-1), c.observers[:i]...), c.observers[i+1:]...)
			return true
		}
	}
	return false
}
