package flavors

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/seam"
	"github.com/perspectivebroker/pb/supervision"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// Referenceable makes the struct that embeds it an object that peers hold by reference. Peers can call its Remote…
// methods, which run one at a time in the object's own actor.
//
// If the struct has a method
//
//	ReferenceClass() (class string, extras []any)
//
// its references carry that class and these extras, [class extra… luid], as those of some stock classes do. The
// method is called when a reference is encoded, on any goroutine. An empty class means a plain reference. See
// [RegisterReference] for the receiving side. The same holds for [Viewable] and [Avatar].
//
// The struct is sent as a pointer and must not be copied after that. Its actor starts with the first call and ends when
// the last connection has released the object, unless [Spawn] started it. The zero value is ready for use.
type Referenceable struct{ anchor }

func (*Referenceable) branch() supervision.Branch { return supervision.Objects }
func (*Referenceable) prefix() Prefix             { return PrefixRemote }

// Root is a [Referenceable] for a service's first object, named "root" by Twisted. Any Referenceable can be published
// as the root; Root only documents that.
type Root struct{ Referenceable }

// coreOf returns the core of a value that embeds Referenceable or another flavor. It makes the core if there is none.
func coreOf(v any) (*objectCore, error) {
	r, ok := v.(anchored)
	if !ok {
		return nil, noFlavorError(v)
	}
	switch p := reflect.ValueOf(v); {
	case p.Kind() != reflect.Pointer:
		return nil, fmt.Errorf("flavors: a %T is sent by reference: give a pointer to it, not a copy", v)
	case p.IsNil():
		return nil, fmt.Errorf("flavors: a nil %T cannot be sent", v)
	}
	anchor, err := anchorOf(r)
	if err != nil {
		return nil, err
	}
	c := anchor.coreMade()
	if c.met.Load() && c.anchor == anchor {
		return c, nil
	}
	return c.meet(anchor, v, r)
}

// anchorOf returns the anchor of a value, which has none if the value embeds its flavor by a nil pointer.
func anchorOf(r anchored) (a *anchor, err error) {
	defer func() {
		if recover() != nil { // Only a nil pointer can cause it: the method cannot be written outside of this package.
			err = newNilFlavorError(r)
		}
	}()
	return r.anchored(), nil
}

// meet sets the core's value to v, or checks that v is not a copy of it.
func (c *objectCore) meet(a *anchor, v any, r anchored) (*objectCore, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.anchor != a && c.produce == nil {
		return nil, fmt.Errorf("flavors: this %T is a copy of one that has been sent; send the original, by pointer", v)
	}
	if c.value == nil {
		if err := checkType(v, r); err != nil {
			return nil, err
		}
		c.value, c.branch = v, r.branch()
		if f, ok := v.(*Forwarder); ok { // What embeds one may handle calls itself.
			c.forward = f
		}
		c.met.Store(true)
	}
	return c, nil
}

// checkType checks the type of a value that is sent for the first time: its methods must be callable and its hooks must
// have the right signatures.
func checkType(v any, r anchored) error {
	t := reflect.TypeOf(v)
	if err := checkOneFlavor(t); err != nil {
		return err
	}
	if _, err := methodsFor(t, r.prefix()); err != nil {
		return err
	}
	h := flavorHooks(r)
	if h == publishHooks { // Peers fetch the state by a View method.
		if _, err := methodsFor(t, PrefixView); err != nil {
			return err
		}
	}
	if err := hooksOf(v, h); err != nil {
		return fmt.Errorf("flavors: %w", err)
	}
	return nil
}

// coreToSend is coreOf for the self of a JellyTo method.
func coreToSend(e *jelly.Encoder, self any) (*objectCore, error) {
	if err := refuseCopy(e, self); err != nil {
		return nil, err
	}
	core, err := coreOf(self)
	if noFlavor, ok := err.(*nilFlavorError); ok { //nolint:errorlint // coreOf does not wrap it.
		return nil, &jelly.InsecureJellyError{What: noFlavor.what}
	}
	return core, err
}

// refuseCopy returns an error if self was sent by value: the encoder's copy of it could never be called.
func refuseCopy(e *jelly.Encoder, self any) error {
	if !e.IsCopy(self) {
		return nil
	}
	t := reflect.TypeOf(self).Elem()
	return &jelly.InsecureJellyError{What: fmt.Sprintf("%s is not transferable, but a pointer to it is: send *%s", t, t)}
}

// JellyTo writes [remote luid]; the broker fills in the luid. Package jelly calls it.
func (r *Referenceable) JellyTo(e *jelly.Encoder, self any) error {
	core, err := coreToSend(e, self)
	if err != nil {
		return err
	}
	return jellyRemote(e, seam.Export{Core: core, Prefix: string(PrefixRemote)})
}

// New returns an object made by produce. After a panic of one of its methods, produce makes another instance, which
// serves the same references. New panics if produce is nil or its result embeds no flavor.
func New[P any](produce func() P) P {
	if produce == nil {
		// A programming error at start-up, like a bad pattern in regexp.MustCompile.
		panic("flavors.New: the producer is nil")
	}
	first := produce()
	core, err := coreOf(first)
	if err == nil && core.branch == supervision.Caches {
		err = fmt.Errorf(
			"the observers of a %T know the state of the instance that failed; give it a Reset method that tells them",
			first,
		)
	}
	if err != nil {
		panic(fmt.Sprintf("flavors.New: %v", err))
	}
	core.mu.Lock()
	defer core.mu.Unlock()
	core.produce = func() any { return produce() }
	return first
}

// Spawn starts the object's actor, which then does not end when peers release the object. It ends when the returned PID
// is stopped or the runtime closes. Spawn may be called in the object's own methods and in a Do.
func Spawn(rt *actor.Runtime, obj any) (*protoactor.PID, error) {
	if err := rt.Check(); err != nil {
		return nil, fmt.Errorf("flavors: spawning a %T: %w", obj, err)
	}
	core, err := coreOf(obj)
	if err != nil {
		return nil, err
	}
	if rt.HasBegun(actor.PhaseStop) {
		return nil, ErrObjectStopped.Errorf("spawning a %T: %w", obj, supervision.ErrClosing)
	}
	core.mu.Lock()
	if err := core.usableInLocked(rt); err != nil {
		core.mu.Unlock()
		return nil, err
	}
	if core.state != coreStopped {
		core.owned = true
		core.startLocked(rt)
	}
	switch a := core.activeLocked(); {
	case a.pid != nil && core.state == coreRunning:
		defer core.mu.Unlock()
		return a.pid, nil
	case a.inline && a.broken:
		core.mu.Unlock()
		return nil, fmt.Errorf(
			"flavors: spawning a %T: one of its methods panicked and a Do is running; spawn it after the Do",
			obj,
		)
	case a.inline && core.state == coreRunning:
		born := core.spawnEarlyLocked()
		core.mu.Unlock()
		<-born
		return core.spawnedPID(obj)
	}
	core.mu.Unlock()
	started := core.do(func() {})
	if _, err := started.Await(context.Background()); err != nil {
		return nil, fmt.Errorf("flavors: spawning a %T: %w", obj, err)
	}
	return core.spawnedPID(obj)
}

func (c *objectCore) spawnedPID(obj any) (*protoactor.PID, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.active == nil || c.active.pid == nil {
		return nil, fmt.Errorf("flavors: spawning a %T: %w", obj, ErrObjectStopped)
	}
	return c.active.pid, nil
}

// Do runs f in the object's turn, so that neither the object's methods nor other Dos run at the same time. The Deferred
// completes with nil when f has returned. It fails if the object stops first, or with a [PanicError] if f panics. If
// the object has no actor because no peer holds it, f runs before Do returns, or after another Do that is running.
//
// A method of the object, or another Do, must not wait for the Deferred, because it would wait for itself.
func (r *Referenceable) Do(f func()) *actor.Deferred { return r.doAnchored(f) }

// Held reports whether the object is published or a peer holds a reference to it, and whether that was ever the case.
// In a method that a peer called, it reflects the references that the peer released before the call.
func (r *Referenceable) Held() (now, ever bool) {
	if r == nil {
		return false, false
	}
	core := r.core.Load()
	if core == nil {
		return false, false
	}
	core.mu.Lock()
	defer core.mu.Unlock()
	return core.holders > 0, core.wasHeld
}

func (a *anchor) doAnchored(f func()) *actor.Deferred {
	switch {
	case a == nil:
		return actor.Failed(errors.New("flavors: Do of a nil object"))
	case f == nil:
		return actor.Failed(errNoFunction)
	}
	return a.coreMade().do(f)
}

func (c *objectCore) do(f func()) *actor.Deferred {
	c.mu.Lock()
	switch c.state {
	case coreStopped:
		c.mu.Unlock()
		return actor.Failed(c.stoppedError())
	case coreIdle:
		t := &turn{run: f, done: new(actor.Deferred)}
		a := c.activeLocked()
		a.waiting = append(a.waiting, t)
		first := !a.inline
		a.inline = true
		c.mu.Unlock()
		if first {
			c.runInline()
		}
		return t.done
	}
	defer c.mu.Unlock()
	t := &turn{run: f, done: actor.NewDeferred(c.rt.Load())}
	c.postLocked(t)
	return t.done
}

// runInline runs the waiting turns of an object without an actor, one at a time, and then starts the actor if one was
// requested meanwhile.
func (c *objectCore) runInline() {
	for {
		c.mu.Lock()
		a := c.active
		if len(a.waiting) == 0 {
			c.inlineOverLocked()
			c.mu.Unlock()
			return
		}
		t := a.waiting[0]
		a.waiting = a.waiting[1:]
		c.mu.Unlock()
		c.runOneInline(t)
	}
}

func (c *objectCore) runOneInline(t *turn) {
	over := false
	defer func() {
		r := recover()
		switch {
		case over:
		case r != nil:
			t.finish(&PanicError{Value: r, Stack: debug.Stack()})
		default:
			// The function called runtime.Goexit. The turns after it need another goroutine.
			t.finish(actor.ErrGoexit)
			go c.runInline()
		}
	}()
	t.run()
	over = true
	t.finish(nil)
}
