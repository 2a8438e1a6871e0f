package flavors

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"
	"sync/atomic"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/supervision"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// Referenceable makes the struct that embeds it an object which peers hold by reference: its Remote… methods can be
// called from the other side, one at a time, in the object's own actor.
//
// The struct is sent as a pointer and must not be copied once it has been sent. Its actor starts with the first call
// and ends when the last connection has let go, unless the application spawned it itself with [Spawn]. The zero value
// is ready for use.
type Referenceable struct{ anchor }

// anchor ties a struct to its core. It is what all flavors that are actors have in common.
type anchor struct{ core atomic.Pointer[Core] }

func (a *anchor) anchored() *anchor { return a }

// anchored is how the package recognises what embeds such a flavor.
type anchored interface {
	anchored() *anchor
	branch() supervision.Branch
	prefix() Prefix
}

func (*Referenceable) branch() supervision.Branch { return supervision.Objects }
func (*Referenceable) prefix() Prefix             { return PrefixRemote }

// Root is a Referenceable that is published under the name "root", Twisted's word for the first object of a service.
// Any Referenceable can be published; Root says in the type that this one is meant to be.
type Root struct{ Referenceable }

// CoreOf finds the core of a value that embeds Referenceable, making one if it has none yet.
func CoreOf(v any) (*Core, error) {
	r, ok := v.(anchored)
	if !ok {
		return nil, fmt.Errorf(
			"flavors: %T does not embed flavors.Referenceable or another flavor (or it was not given as a pointer)",
			v,
		)
	}
	switch p := reflect.ValueOf(v); {
	case p.Kind() != reflect.Pointer:
		return nil, fmt.Errorf("flavors: a %T is sent by reference: give a pointer to it, not a copy", v)
	case p.IsNil():
		return nil, fmt.Errorf("flavors: a nil %T cannot be sent", v)
	}
	anchor := r.anchored()
	c := anchor.coreMade()
	if c.met.Load() && c.anchor == anchor {
		return c, nil
	}
	return c.meet(anchor, v, r)
}

// coreMade is the anchor's core, made on the first call.
func (a *anchor) coreMade() *Core {
	if c := a.core.Load(); c != nil {
		return c
	}
	a.core.CompareAndSwap(nil, &Core{anchor: a})
	return a.core.Load()
}

// meet makes sure that the core knows its value, and that v is no copy of it.
func (c *Core) meet(a *anchor, v any, r anchored) (*Core, error) {
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
		c.forward, _ = v.(*Forwarder)
		c.met.Store(true)
	}
	return c, nil
}

// checkType says what is wrong with a type whose value is about to be sent for the first time: methods that could not
// be called, or hooks that would be passed over.
func checkType(v any, r anchored) error {
	t := reflect.TypeOf(v)
	if _, err := methodsFor(t, r.prefix()); err != nil {
		return err
	}
	h := flavorHooks(r)
	if h == nil {
		return nil
	}
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

// coreToSend is CoreOf for what a JellyTo method got as self.
func coreToSend(e *jelly.Encoder, self any) (*Core, error) {
	if err := refuseCopy(e, self); err != nil {
		return nil, err
	}
	return CoreOf(self)
}

// refuseCopy refuses what was met by value: nobody would ever see the copy of it that the encoder made.
func refuseCopy(e *jelly.Encoder, self any) error {
	if !e.IsCopy(self) {
		return nil
	}
	t := reflect.TypeOf(self).Elem()
	return &jelly.InsecureJellyError{What: fmt.Sprintf("%s is not transferable, but a pointer to it is: send *%s", t, t)}
}

// JellyTo writes the reference: [remote luid], the luid to be filled in by the broker. It is called by the jelly.
func (r *Referenceable) JellyTo(e *jelly.Encoder, self any) error {
	core, err := coreToSend(e, self)
	if err != nil {
		return err
	}
	return jellyRemote(e, ExportHole{Core: core, Prefix: PrefixRemote})
}

// New makes an object through a producer. After a panic its supervisor does not go on with the broken instance: the
// producer makes a fresh one, which serves the same references. The result is the first instance.
func New[P any](produce func() P) P {
	if produce == nil {
		panic(
			"flavors.New: the producer is nil",
		) // A programming error, at start-up, like a bad pattern in regexp.MustCompile.
	}
	first := produce()
	core, err := CoreOf(first)
	if err == nil && core.branch == supervision.Caches {
		err = fmt.Errorf(
			"the observers of a %T know the state of the instance that failed; give it a Reset method that tells them",
			first,
		)
	}
	if err != nil {
		panic(
			fmt.Sprintf("flavors.New: %v", err),
		) // A programming error, at start-up, like a bad pattern in regexp.MustCompile.
	}
	core.mu.Lock()
	defer core.mu.Unlock()
	core.produce = func() any { return produce() }
	return first
}

// Spawn gives the object its actor now, and for as long as the application wants: peers that let go do not end it. It
// ends with the returned PID being stopped or with the runtime. It may be called in the object's own methods and in a
// Do.
func Spawn(rt *actor.Runtime, obj any) (*protoactor.PID, error) {
	if err := rt.Check(); err != nil {
		return nil, fmt.Errorf("flavors: spawning a %T: %w", obj, err)
	}
	core, err := CoreOf(obj)
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
	switch {
	case core.pid != nil && core.state == coreRunning:
		defer core.mu.Unlock()
		return core.pid, nil
	case core.inline && core.broken:
		core.mu.Unlock()
		return nil, fmt.Errorf(
			"flavors: spawning a %T: one of its methods panicked, and a Do is under way: spawn it behind that",
			obj,
		)
	case core.inline && core.state == coreRunning:
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

func (c *Core) spawnedPID(obj any) (*protoactor.PID, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pid == nil {
		return nil, fmt.Errorf("flavors: spawning a %T: %w", obj, ErrObjectStopped)
	}
	return c.pid, nil
}

// Do runs f in the object's turn, so that it excludes the object's methods and other Dos. The Deferred completes, with
// nil, when f has run; it fails when the object stopped first, or with a [PanicError]. An object that no peer holds has
// no actor: then f runs before Do returns, unless another Do is under way, behind which it runs then.
//
// Do not wait for the Deferred inside a method of the same object or another Do: it would wait for itself.
func (r *Referenceable) Do(f func()) *actor.Deferred { return r.doAnchored(f) }

// Held says whether a peer holds a reference to the object now, or the object is published, and whether that has ever
// been so. A method that asks finds that its caller no longer holds what it let go before it called.
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

func (c *Core) do(f func()) *actor.Deferred {
	c.mu.Lock()
	switch c.state {
	case coreStopped:
		c.mu.Unlock()
		return actor.Failed(c.stoppedError())
	case coreIdle:
		t := &turn{run: f, done: new(actor.Deferred)}
		c.waiting = append(c.waiting, t)
		first := !c.inline
		c.inline = true
		c.mu.Unlock()
		if first {
			c.runInline()
		}
		return t.done
	}
	defer c.mu.Unlock()
	t := &turn{run: f, done: actor.NewDeferred(c.rt)}
	c.postLocked(t)
	return t.done
}

// runInline runs what waits for an object without an actor, one at a time, and then starts the actor if one was asked
// for meanwhile.
func (c *Core) runInline() {
	for {
		c.mu.Lock()
		if len(c.waiting) == 0 {
			c.inlineOverLocked()
			c.mu.Unlock()
			return
		}
		t := c.waiting[0]
		c.waiting = c.waiting[1:]
		c.mu.Unlock()
		c.runOneInline(t)
	}
}

func (c *Core) runOneInline(t *turn) {
	over := false
	defer func() {
		r := recover()
		switch {
		case over:
		case r != nil:
			t.finish(&PanicError{Value: r, Stack: debug.Stack()})
		default:
			// The function has ended its goroutine; what waits behind it needs another.
			t.finish(actor.ErrGoexit)
			go c.runInline()
		}
	}()
	t.run()
	over = true
	t.finish(nil)
}
