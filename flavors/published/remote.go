package published

import (
	"fmt"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// Remote makes the struct that embeds it the local copy of a peer's [Publishable]: a [flavors.RemoteCache] whose state
// is kept over sessions. When the original comes, its state is taken from the store if that has it with the same
// timestamp, and fetched from the peer, and stored, if not. Until it is there the copy is empty; see
// [WhenActivated].
//
// The state fills the fields with a pb tag, or is given to the struct's method SetPublishedState(state any) error. A
// method Activated() is called when it is there. Both run in the copy's own actor, and so do its Observe… methods.
//
// A struct becomes the copy of a class by [Register].
type Remote struct {
	flavors.RemoteCache
	publication publication
}

// publication is what a copy knows of its original. It belongs to the copy's turn; kept and ready are immutable once
// the copy is known.
type publication struct {
	kept  *kept
	ready *actor.Deferred // completes when the state is there
	mark  publishedMark
	clean bool
}

// kept is what copies of one class have in common.
type kept struct {
	store    Store
	registry *jelly.Registry
	class    string
}

// publishedMark is the state that an original sends by itself.
type publishedMark struct {
	Remote      *flavors.RemoteReference `pb:"remote"`
	ID          any                      `pb:"publishedID"`
	Perspective string                   `pb:"perspective"`
	Service     string                   `pb:"service"`
	Timestamp   float64                  `pb:"timestamp"`
}

// remotePublished is how the package recognises what embeds a Remote.
type remotePublished interface {
	flavors.RemoteCacher
	published() *publication
}

type publishedStateSetter interface{ SetPublishedState(state any) error }
type activator interface{ Activated() }

func (r *Remote) published() *publication { return &r.publication }

// Register lets published originals of a class be kept here, as T, a struct that embeds Remote. The
// store is where their states outlive the session, such as a [Dir]; with nil they are fetched every time. So
// they are from a peer of which it is not known who it is, as on accepted connections: see broker.WithServerIdentity.
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

// WasCleanWhenLoaded says whether the state came from the store: nothing had been published since. It is for the copy's
// turn.
func (r *Remote) WasCleanWhenLoaded() bool { return r.publication.clean }

// IsActivated says whether the state is there. It is for the copy's turn.
func (r *Remote) IsActivated() bool {
	_, err, done := r.publication.ready.Result()
	return done && err == nil
}

// SetCopyableState takes what the original sends by itself, and has the rest come: as the first thing in the copy's own
// turn.
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

// inTurn runs f in the copy's turn. If there is none any more, the state will not come.
func (r *Remote) inTurn(f func()) {
	gone := func(cause error) { r.fail(cause) }
	run := func() {
		over := false
		defer func() {
			if !over { // The application's code panicked or ended the goroutine. The supervisor decides about the copy.
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

// fail tells those who wait that the state will not come. What the copy shows instead is not what the original does.
func (r *Remote) fail(cause error) {
	if r.publication.ready.Complete(nil, cause) {
		internal.MarkStale(&r.RemoteCache, cause)
		r.publication.warn(cause, "the state of a published original cannot be had; its copy is stale")
	}
}

// begin takes the state from the store, or asks for it.
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

// fetched takes the state as the peer gave it.
func (r *Remote) fetched(state any, err error) {
	p := &r.publication
	defer p.mark.Remote.Release()
	if err == nil {
		p.save(state)
		err = r.activate(state, false)
	}
	if err != nil {
		r.fail(usercode.Wrap(err, "published: what is published as %q cannot be had", clipped(p.key().ID)))
	}
}

// activate puts the state in place and tells who waits for it.
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
			if !activated { // The supervisor decides about the copy, and those who wait are told.
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
		return fmt.Errorf("the state is a %T and no dictionary, which only a SetPublishedState method could take", state)
	}
	return jelly.AssignFields(self, dict)
}

// WhenActivated completes with the handle when the state of a [Remote] is there, and fails if it cannot be had. Any
// other copy has its state from the beginning.
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

// WhenReady is for a call whose answer is a published original: it completes with the *[flavors.Cached] when the state
// is there too.
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
