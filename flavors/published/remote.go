package published

import (
	"fmt"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// Remote makes the struct that embeds it a local copy of a peer's [Publishable], Twisted's RemotePublished: a
// [flavors.RemoteCache] whose state is kept from session to session. When the original is received, its state is loaded
// from the store if the store has it with the same timestamp. Otherwise it is fetched from the peer and stored. Until
// then the copy is empty; see [WhenActivated].
//
// The state fills the fields with a pb tag, or is passed to the struct's method SetPublishedState(state any) error. A
// method Activated() is called after that. Both run in the copy's own actor, as its Observe… methods do.
//
// [Register] makes a struct the copy of a class.
type Remote struct {
	flavors.RemoteCache
	publication publication
}

// publication is a copy's part of the publication. Only the copy's turn uses it, but kept and ready are immutable once
// the copy was received.
type publication struct {
	kept  *kept
	ready *actor.Deferred // completes when the state is set
	mark  publishedMark
	clean bool
}

// kept is shared by all copies of a class.
type kept struct {
	store    Store
	registry *jelly.Registry
	class    string
}

// publishedMark is the state that an original sends: how to find its published state.
type publishedMark struct {
	Remote      *flavors.RemoteReference `pb:"remote"`
	ID          any                      `pb:"publishedID"`
	Perspective string                   `pb:"perspective"`
	Service     string                   `pb:"service"`
	Timestamp   float64                  `pb:"timestamp"`
}

// remotePublished is implemented by pointers to structs that embed a Remote.
type remotePublished interface {
	flavors.RemoteCacher
	published() *publication
}

type publishedStateSetter interface{ SetPublishedState(state any) error }
type activator interface{ Activated() }

func (r *Remote) published() *publication { return &r.publication }

// Register registers T, a struct that embeds [Remote], for local copies of a class. Their states are kept in the store,
// such as a [Dir]. They are fetched every time if the store is nil or the peer has no identity, as on accepted
// connections; see broker.WithServerIdentity.
//
//	err := published.Register[RemotePage](registry, "site.Page", store)
func Register[T any, P interface {
	*T
	remotePublished
}](r *jelly.Registry, class string, store Store) error {
	k := &kept{store: store, registry: r, class: class}
	return flavors.RegisterCacheFactory(r, class, func() P {
		value := P(new(T))
		value.published().kept = k
		return value
	})
}

// WasCleanWhenLoaded reports whether the state came from the store. Only the copy's turn may call it.
func (r *Remote) WasCleanWhenLoaded() bool { return r.publication.clean }

// IsActivated reports whether the state is set. Only the copy's turn may call it.
func (r *Remote) IsActivated() bool {
	_, err, done := r.publication.ready.Result()
	return done && err == nil
}

// SetCopyableState takes what the original sends and begins to load or fetch the state, as the first turn of the copy's
// actor.
func (r *Remote) SetCopyableState(state any) error {
	p := &r.publication
	if p.kept == nil {
		return fmt.Errorf("published: %s embeds a Remote: register it with Register", internal.NameOfCopy(&r.RemoteCache))
	}
	dict, ok := state.(*jelly.Dict)
	if !ok {
		return fmt.Errorf("published: a published original sends a dictionary, not %T", state)
	}
	if err := jelly.AssignFields(&p.mark, dict); err != nil {
		return err
	}
	if err := checkPublishedID(p.mark.ID); err != nil {
		return err
	}
	if p.mark.Remote == nil {
		return fmt.Errorf("published: a published original sends a reference to itself under the key %q", "remote")
	}
	p.ready = actor.NewDeferred(p.mark.Remote.Conn().Runtime())
	r.inTurn(func() { r.begin() })
	return nil
}

// inTurn runs f in the copy's turn. If that is impossible, or f panics, activation fails.
func (r *Remote) inTurn(f func()) {
	gone := func(cause error) { r.fail(cause) }
	run := func() {
		over := false
		defer func() {
			if !over { // The application's code panicked or called runtime.Goexit.
				gone(fmt.Errorf("published: the code of a %s failed; the log has the details", internal.NameOfCopy(&r.RemoteCache)))
			}
		}()
		f()
		over = true
	}
	if err := internal.InTurnOfCopy(&r.RemoteCache, run, gone); err != nil {
		gone(err)
	}
}

// fail fails the activation and marks the copy as stale.
func (r *Remote) fail(cause error) {
	if r.publication.ready.Complete(nil, cause) {
		internal.MarkStale(&r.RemoteCache, cause)
		r.publication.warn(cause, "the state of a published original is not available; its copy is stale")
	}
}

// begin loads the state from the store, or asks the peer for it.
func (r *Remote) begin() {
	p := &r.publication
	if state, ok := p.load(); ok && r.activate(state, true) == nil {
		p.mark.Remote.Release()
		return
	}
	p.mark.Remote.CallRemote("getStateToPublish").OnComplete(func(state any, err error) {
		r.inTurn(func() { r.fetched(state, err) })
	})
}

// fetched takes the peer's answer.
func (r *Remote) fetched(state any, err error) {
	p := &r.publication
	defer p.mark.Remote.Release()
	if err == nil {
		p.save(state)
		err = r.activate(state, false)
	}
	if err != nil {
		r.fail(usercode.Wrap(err, "published: fetching %q", clipped(p.key().ID)))
	}
}

// activate sets the state and completes the activation.
func (r *Remote) activate(state any, clean bool) error {
	p := &r.publication
	self := internal.Copy(&r.RemoteCache)
	var err error
	if panicked := usercode.Do(func() { err = setPublishedState(self, state) }); panicked != nil {
		failure := &flavors.PanicError{
			What:  "the code that sets the state of a " + internal.NameOfCopy(&r.RemoteCache),
			Value: panicked.Value,
			Stack: panicked.Stack,
		}
		internal.LogPanicOfCopy(&r.RemoteCache, p.mark.Remote.Conn().Logger(), failure)
		err = failure
	}
	if err != nil {
		return err
	}
	p.clean = clean
	internal.MarkUpdated(&r.RemoteCache)
	if a, ok := self.(activator); ok {
		activated := false
		defer func() {
			if !activated {
				r.fail(fmt.Errorf("published: the Activated method of a %T panicked", self))
			}
		}()
		a.Activated()
		activated = true
	}
	p.ready.Complete(nil, nil)
	return nil
}

func setPublishedState(self, state any) error {
	if s, ok := self.(publishedStateSetter); ok {
		return s.SetPublishedState(state)
	}
	dict, ok := state.(*jelly.Dict)
	if !ok {
		return fmt.Errorf("the state is a %T, not a dictionary; only a SetPublishedState method could take it", state)
	}
	return jelly.AssignFields(self, dict)
}

// WhenActivated returns a Deferred that completes with c when the state of its [Remote] is set, and fails if it is not
// available. For any other copy it completes at once.
func WhenActivated[T any](c *flavors.Cached[T]) *actor.Deferred {
	if c.Conn() == nil {
		return actor.Failed(c.Err())
	}
	return whenActivated(c)
}

func whenActivated(handle any) *actor.Deferred {
	p, ok := internal.CopyOf(handle).(remotePublished)
	if !ok {
		return actor.Succeeded(handle)
	}
	publication := p.published()
	done := actor.NewDeferred(publication.mark.Remote.Conn().Runtime())
	publication.ready.OnComplete(func(_ any, err error) {
		if err != nil {
			done.Complete(nil, err)
			return
		}
		done.Complete(handle, nil)
	})
	return done
}

// WhenReady waits for an answer that is a published original: the returned Deferred completes with the
// *[flavors.Cached] when its state is set.
//
//	published.WhenReady(conn.Root().CallRemote("getPage")).Then(…)
func WhenReady(d *actor.Deferred) *actor.Deferred {
	if d == nil {
		return actor.Failed(actor.ErrNilDeferred)
	}
	ready := new(actor.Deferred)
	d.OnComplete(func(v any, err error) {
		if err == nil && internal.CopyOf(v) != nil {
			v = whenActivated(v)
		}
		ready.Complete(v, err)
	})
	return ready
}
