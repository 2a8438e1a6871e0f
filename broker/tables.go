package broker

import (
	"fmt"
	"time"

	"github.com/perspectivebroker/pb/broker/internal/table"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/command"
	"github.com/perspectivebroker/pb/internal/seam"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// What entries count for in the account, in bytes. An entry of ours counts for its actor as well, but not for what the
// application keeps in it.
const (
	exportSize = 1 << 10
	cacheSize  = 1 << 10 // on either side
	importSize = 512
	// revokedSize is for a revoked export that the peer has not given back.
	revokedSize = 64
	// extrasSize is for each byte on the wire of what a reference carries: a decoder makes at most that of it.
	extrasSize = 40
)

// maxRefused is how many refused Cacheables a peer may owe its uncache for. An honest peer has a few, one for each that
// was under way when it learned of the refusal.
const maxRefused = 1 << 16

// ping takes the place of a call of keepalive's. Its answer is dropped, and no limit and no statistics count it.
var ping = new(seam.OutgoingCall)

func (b *broker) startTables() {
	c := b.c
	b.exports.Dropped = func(e *export) {
		e.Value.forgetOrigin()
		e.Key.core.Release()
		if c.options.relaying && e.ID&3 == 3 {
			c.keepers.remove(e.ID)
		}
		if more := e.Value.more; more != nil {
			for _, f := range more.onRelease {
				f()
			}
		}
		usercode.Log(func() { c.log.Debug().Int64("luid", e.ID).Stringer("object", e.Key.core).Msg("reference released") })
	}
	b.caches.Dropped = func(e *cached) {
		e.Key.Release()
		usercode.Log(func() { c.log.Debug().Int64("luid", e.ID).Stringer("object", e.Key).Msg("cache ended") })
	}
}

// clearTables empties the tables when the connection has ended.
func (b *broker) clearTables() {
	for e := range b.caches.All() {
		if e.IsHeld() {
			e.Key.Unobserve(e.Value, nil)
		}
	}
	b.exports.Clear(func(e *export) {
		e.Value.forgetOrigin()
		e.Key.core.Release()
	})
	b.caches.Clear()
	b.lingering.Clear()
	b.imports.Clear()
	b.local.Clear()
	b.tablesChanged()
}

// tablesChanged publishes the lengths of the tables for [Stats], and has the account count them.
func (b *broker) tablesChanged() {
	n := &b.c.metrics
	b.c.exported.Store(int64(b.exports.Len()))
	if b.c.options.relaying {
		n.relays.Store(int64(b.exports.Passed()))
	}
	n.imports.Store(int64(b.imports.Len()))
	n.caches.Store(int64(b.caches.Size()))
	n.local.Store(int64(b.local.Len()))
	n.kept.Store(int64(len(b.kept.results)))
	size := b.exports.Size()*exportSize + b.imports.Len()*importSize + b.imports.ExtrasSize()*extrasSize +
		b.exports.Revoked()*revokedSize + len(b.kept.results)*keptSize + (b.caches.Size()+b.local.Len())*cacheSize
	b.c.account.Keep(size - b.counted)
	b.counted = size
}

// mention counts one mention of an object, and exports the object if the peer does not hold it.
func (b *broker) mention(hole seam.Export) (*export, error) {
	c := b.c
	key := exportKey{hole.Core, hole.Prefix, hole.Perspective}
	e := b.exports.Held(key)
	switch {
	case e != nil:
		e.Mention()
		e.Value.setView(hole.View)
	case b.exports.Len() >= c.limits.Exports: // What lingers does not count: the peer has released it.
		if hole.OnRelease != nil {
			hole.OnRelease()
		}
		c.countRejection(rejectExports)
		return nil, fmt.Errorf("%w: Limits.Exports is %d", ErrTooManyReferences, c.limits.Exports)
	default:
		e = b.exports.Add(b.nextID(key.core, key.prefix), key, exported{caller: c.callerOf(hole)})
		e.Value.setView(hole.View)
		key.core.Hold(c.rt)
		if unwatch := c.watchOrigin(key.core); unwatch != nil {
			e.Value.extra().unwatch = unwatch
		}
		b.tablesChanged()
		usercode.Log(func() { c.log.Debug().Int64("luid", e.ID).Stringer("object", key.core).Msg("object exported") })
	}
	if hole.OnRelease != nil {
		more := e.Value.extra()
		more.onRelease = append(more.onRelease, hole.OnRelease)
	}
	if hole.For != nil {
		b.sentFor(e, hole.For)
	}
	if hole.Gone {
		toldGone(e)
	}
	b.setCaller(hole)
	return e, nil
}

// setCaller has calls made on a user's behalf that go through the avatar, or through what the user's perspective was
// given before the login.
func (b *broker) setCaller(hole seam.Export) {
	if hole.Caller == nil {
		return
	}
	for e := range b.exports.All() {
		ofTheUser := e.Key.perspective == hole.Perspective &&
			(e.Key.perspective != nil || e.Key.core == hole.Core && e.Key.prefix == hole.Prefix)
		if ofTheUser && e.Value.caller != hole.Caller {
			e.Value.caller, e.Value.reached = hole.Caller, false
		}
	}
}

// home returns what a [local …] stands for: the object, or the view of it that the peer was given (P-5.2).
func home(e *export) any {
	if e.Key.prefix == prefixRemote {
		return e.Key.core.Value()
	}
	more := e.Value.extra()
	if more.view == nil {
		more.view, more.made = internal.ViewOf(e.Key.core, e.Key.prefix, e.Key.perspective), true
	}
	return more.view
}

// extra returns the rare part of an export, which the first call makes.
func (e *exported) extra() *exportedMore {
	if e.more == nil {
		e.more = new(exportedMore)
	}
	return e.more
}

// setView sets the view that the user sent, if it is one and the first.
func (e *exported) setView(view any) {
	if view == nil {
		return
	}
	if more := e.extra(); more.view == nil || more.made {
		more.view, more.made = view, false
	}
}

// publishAs makes an object, or a view, callable by name. A Viewable is published as a view without a perspective. An
// avatar belongs to a login: by a name only its Remote… methods can be called.
func (b *broker) publishAs(name string, v any) error {
	hole, err := internal.ExportOf(v)
	if err != nil {
		return fmt.Errorf("publishing %q: %w", name, err)
	}
	if err := hole.Core.UsableIn(b.c.rt); err != nil {
		return fmt.Errorf("publishing %q: %w", name, err)
	}
	if hole.Prefix != prefixView && hole.View == nil {
		hole.Prefix = prefixRemote
	}
	b.c.publishKeeper(name, hole.Core, hole.Prefix)
	hole.Core.Hold(b.c.rt)
	key := exportKey{hole.Core, hole.Prefix, hole.Perspective}
	value := exported{caller: b.c.caller}
	value.setView(hole.View)
	b.exports.Publish(name, key, value)
	return nil
}

// decref handles [decref id].
func (b *broker) decref(id int64) error {
	e, last, ok := b.exports.Release(id, 1)
	if !ok && b.exports.ReleaseRevoked(id) {
		b.tablesChanged()
		return nil
	}
	if !ok {
		return protocolErrorf("decref", "the peer holds no reference to luid %d", id).as(rejectCount)
	}
	if last {
		e.Linger(&b.lingering, b.pending.Last(), time.Now(), b.c.limits.Exports)
		b.tablesChanged()
	} else {
		b.tellAgain(e)
	}
	b.sweep()
	return nil
}

// addCache adds a cache whose state is about to be sent, with one mention.
func (b *broker) addCache(s *cacheState) (*cached, error) {
	c := b.c
	if !b.caches.HasRoom(c.limits.Caches) {
		c.countRejection(rejectCaches)
		return nil, fmt.Errorf("%w: Limits.Caches is %d", ErrTooManyReferences, c.limits.Caches)
	}
	e := b.caches.Add(b.nextCacheID(), s.core, s.observer)
	e.Value.SetLuid(e.ID)
	b.tablesChanged()
	usercode.Log(func() { c.log.Debug().Int64("luid", e.ID).Stringer("object", e.Key).Msg("cache begun") })
	return e, nil
}

// decache handles [decache id]. With the last mention the observer is removed, and then the peer gets [uncache id]
// (P-7.4).
func (b *broker) decache(id int64) error {
	e, last, ok := b.caches.Release(id, 1)
	if !ok {
		return protocolErrorf("decache", "the peer holds no cache with luid %d", id).as(rejectCount)
	}
	if last {
		c := b.c
		e.Key.Unobserve(e.Value, func() { c.handOver(observerGone{e}) })
	}
	return nil
}

// uncache handles [uncache id].
func (b *broker) uncache(id int64) error {
	if !b.local.Uncache(id) {
		return protocolErrorf("uncache", "there is no cache with luid %d here", id).as(rejectCount)
	}
	b.tablesChanged()
	return nil
}

// sweep drops entries whose grace period is over, and sets the timer for the others.
func (b *broker) sweep() {
	if b.lingering.Len() == 0 || b.c.ended() {
		return
	}
	grace := b.c.limits.ReleaseGrace
	b.lingering.Sweep(b.pending.Oldest(), time.Now().Add(-grace))
	b.tablesChanged()
	switch {
	case b.lingering.Len() == 0:
		stopTimer(b.grace)
		b.grace = nil
	case b.grace == nil:
		b.grace = b.after(time.Until(b.lingering.Since().Add(grace)), graceOver{})
	}
}

// receive returns the reference for one mention of an object of the peer's.
func (b *broker) receiveImport(u *jelly.Unbound, perspective any) (*flavors.RemoteReference, error) {
	limit := b.c.account.Imports()
	key := table.ImportKey{ID: u.ID, Perspective: perspective}
	ref := b.imports.Receive(b.c, key, limit)
	if ref == nil {
		return nil, fmt.Errorf("%w: Limits.Imports is %d", ErrTooManyImports, limit)
	}
	class := ""
	if u.Tag != "remote" {
		class = u.Tag
	}
	if class != "" && class == b.c.options.freeClass {
		b.imports.Free(key)
	}
	extras, size := u.Extras()
	b.imports.Carry(key, ref, class, extras, size)
	b.tablesChanged()
	return ref, nil
}

// receiveRefused takes what a command mentions that is not carried out, because the peer has counted it. Caches that
// there are handles for are received, to be released with the rest of the command. Everything else is given back here.
func (b *broker) receiveRefused(received []seam.Handle, m jelly.Mention) []seam.Handle {
	switch m.Tag {
	case "remote":
		b.append(func(dst []byte) []byte { return command.AppendDecref(dst, b.c.profile, m.ID) })
		return received
	case "class":
		// The number of a class that is not registered may be the state of a copy. To give back what the peer has not
		// counted would cost the connection (P-5.10).
		return received
	}
	if cache, ok := b.local.Receive(m.ID); ok {
		return append(received, cache.Receive())
	}
	if b.local.Refuse(m.ID, m.Tag == "cache") {
		b.append(func(dst []byte) []byte { return command.AppendDecache(dst, b.c.profile, m.ID) })
	}
	return received // A mention of what was never sent is not counted.
}

// notMade returns what a command mentions that was not bound: the Cacheables that were not made into caches, and other
// mentions of these.
func notMade(unbound []*jelly.Unbound) (mentions []jelly.Mention) {
	for _, u := range unbound {
		switch {
		case u.Bound():
		case u.IsInstance() && u.Entry().Kind == jelly.RemoteCache:
			mentions = append(mentions, jelly.Mention{Tag: "cache", ID: u.ID})
		case u.Tag == banana.SymCached.String():
			mentions = append(mentions, jelly.Mention{Tag: u.Tag, ID: u.ID})
		}
	}
	return mentions
}

// tooManyCaches returns the error if this side has no room for one more cache.
func tooManyCaches(have, limit int) error {
	if have < limit {
		return nil
	}
	return fmt.Errorf("%w: this side keeps %d caches for the peer already (Limits.Caches)", ErrTooManyReferences, limit)
}
