package flavors

import (
	"fmt"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// RemotePublished makes the struct that embeds it the local copy of a peer's [Publishable]: a [RemoteCache] whose state
// is kept over sessions. When the original comes, its state is taken from the store if that has it with the same
// timestamp, and fetched from the peer, and stored, if not. Until it is there the copy is empty; see
// [Cached.WhenActivated].
//
// The state fills the fields with a pb tag, or is given to the struct's method SetPublishedState(state any) error. A
// method Activated() is called when it is there. Both run in the copy's own actor, and so do its Observe… methods.
//
// A struct becomes the copy of a class by [RegisterPublished].
type RemotePublished struct {
	RemoteCache
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
	store    PublishedStore
	registry *jelly.Registry
	class    string
}

// publishedMark is the state that an original sends by itself.
type publishedMark struct {
	Remote      *RemoteReference `pb:"remote"`
	ID          any              `pb:"publishedID"`
	Perspective string           `pb:"perspective"`
	Service     string           `pb:"service"`
	Timestamp   float64          `pb:"timestamp"`
}

// remotePublished is how the package recognises what embeds a RemotePublished.
type remotePublished interface {
	remoteCache
	published() *publication
}

type publishedStateSetter interface{ SetPublishedState(state any) error }
type activator interface{ Activated() }

func (r *RemotePublished) published() *publication { return &r.publication }

// RegisterPublished lets published originals of a class be kept here, as T, a struct that embeds RemotePublished. The
// store is where their states outlive the session, such as a [PublishedDir]; with nil they are fetched every time. So
// they are from a peer of which it is not known who it is, as on accepted connections: see broker.WithServerIdentity.
//
//	err := flavors.RegisterPublished[RemotePage](registry, "site.Page", store)
func RegisterPublished[T any, P interface {
	*T
	remotePublished
}](r *jelly.Registry, class string, store PublishedStore) error {
	k := &kept{store: store, registry: r, class: class}
	return RegisterCacheFactory(r, class, func() P {
		value := P(new(T))
		value.published().kept = k
		return value
	})
}

// WasCleanWhenLoaded says whether the state came from the store: nothing had been published since. It is for the copy's
// turn.
func (r *RemotePublished) WasCleanWhenLoaded() bool { return r.publication.clean }

// IsActivated says whether the state is there. It is for the copy's turn.
func (r *RemotePublished) IsActivated() bool {
	_, err, done := r.publication.ready.Result()
	return done && err == nil
}

// SetCopyableState takes what the original sends by itself, and has the rest come: as the first thing in the copy's own
// turn.
func (r *RemotePublished) SetCopyableState(state any) error {
	core := r.core.Load()
	p := &r.publication
	if p.kept == nil {
		return fmt.Errorf("flavors: %s embeds a RemotePublished: register it with RegisterPublished", core)
	}
	dict, ok := state.(*jelly.Dict)
	if !ok {
		return fmt.Errorf("flavors: a published original sends a dictionary, not %T", state)
	}
	if err := jelly.AssignFields(&p.mark, dict); err != nil {
		return err
	}
	if err := checkPublishedID(p.mark.ID); err != nil {
		return err
	}
	if p.mark.Remote == nil {
		return fmt.Errorf("flavors: a published original sends a reference to itself under the key %q", "remote")
	}
	p.ready = actor.NewDeferred(p.mark.Remote.Conn().Runtime())
	r.inTurn(core, func() { r.begin(core) })
	return nil
}

// inTurn runs f in the copy's turn. If there is none any more, the state will not come.
func (r *RemotePublished) inTurn(core *Core, f func()) {
	gone := func(cause error) { r.fail(core, cause) }
	run := func() {
		over := false
		defer func() {
			if !over { // The application's code panicked or ended the goroutine. The supervisor decides about the copy.
				gone(fmt.Errorf("flavors: the code of a %s failed; the log has the details", core.typeName()))
			}
		}()
		f()
		over = true
	}
	if err := core.post(&turn{run: run, drop: gone}); err != nil {
		gone(err)
	}
}

// fail tells those who wait that the state will not come. What the copy shows instead is not what the original does.
func (r *RemotePublished) fail(core *Core, cause error) {
	if r.publication.ready.Complete(nil, cause) {
		core.stale(cause)
		r.publication.warn(cause, "the state of a published original cannot be had; its copy is stale")
	}
}

// begin takes the state from the store, or asks for it.
func (r *RemotePublished) begin(core *Core) {
	p := &r.publication
	if state, ok := p.load(); ok && r.activate(core, state, true) == nil {
		p.mark.Remote.Release()
		return
	}
	p.mark.Remote.CallRemote("getStateToPublish").OnComplete(func(state any, err error) {
		r.inTurn(core, func() { r.fetched(core, state, err) })
	})
}

// fetched takes the state as the peer gave it.
func (r *RemotePublished) fetched(core *Core, state any, err error) {
	p := &r.publication
	defer p.mark.Remote.Release()
	if err == nil {
		p.save(state)
		err = r.activate(core, state, false)
	}
	if err != nil {
		r.fail(core, usercode.Wrap(err, "flavors: what is published as %q cannot be had", clipped(p.key().ID)))
	}
}

// activate puts the state in place and tells who waits for it.
func (r *RemotePublished) activate(core *Core, state any, clean bool) error {
	p := &r.publication
	self := core.Value()
	var err error
	if panicked := usercode.Do(func() { err = setPublishedState(self, state) }); panicked != nil {
		failure := &PanicError{
			What:  "the code that sets the state of a " + core.typeName(),
			Value: panicked.Value,
			Stack: panicked.Stack,
		}
		core.logPanic(p.mark.Remote.Conn().Logger(), failure)
		err = failure
	}
	if err != nil {
		return err
	}
	p.clean = clean
	core.updated()
	if a, ok := self.(activator); ok {
		activated := false
		defer func() {
			if !activated { // The supervisor decides about the copy, and those who wait are told.
				r.fail(core, fmt.Errorf("flavors: the Activated method of a %T panicked", self))
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

// WhenActivated completes with the handle when the state of a [RemotePublished] is there, and fails if it cannot be
// had. Any other copy has its state from the beginning.
func (c *Cached[T]) WhenActivated() *actor.Deferred {
	if !c.isMade() {
		return actor.Failed(errNoCache)
	}
	p, ok := c.cache.core.Value().(remotePublished)
	if !ok {
		return actor.Succeeded(c)
	}
	done := actor.NewDeferred(c.runtime())
	p.published().ready.OnComplete(func(_ any, err error) {
		if err != nil {
			done.Complete(nil, err)
			return
		}
		done.Complete(c, nil)
	})
	return done
}

// WhenReady is for a call whose answer is a published original: it completes with the *[Cached] when the state is there
// too.
//
//	flavors.WhenReady(conn.Root().CallRemote("getPage")).Then(…)
func WhenReady(d *actor.Deferred) *actor.Deferred {
	if d == nil {
		return actor.Failed(actor.ErrNilDeferred)
	}
	ready := new(actor.Deferred)
	d.OnComplete(func(v any, err error) {
		if c, ok := v.(interface{ WhenActivated() *actor.Deferred }); ok && err == nil {
			v = c.WhenActivated()
		}
		ready.Complete(v, err)
	})
	return ready
}
