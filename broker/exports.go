package broker

import (
	"fmt"
	"slices"
	"time"

	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// exports is what the peer can call: objects by luid, and the published ones by name. It belongs to the broker actor.
//
// Invariants: an entry in byKey is in byLuid and has count > 0; an entry in byLuid that is not in byKey is dying, has
// count 0 and is in dying once. Each entry in byLuid holds its core exactly once. Luids are never used again.
type exports struct {
	last   int64
	byLuid map[int64]*export
	byKey  map[exportKey]*export
	names  map[string]*export
	dying  []*export // oldest first
}

// exportSize is what an exported object counts for, beside what the application keeps in it: its entry, its core and
// its actor, roughly.
const exportSize = 1 << 10

type exportKey struct {
	core        *flavors.Core
	prefix      flavors.Prefix
	perspective any
}

type export struct {
	exportKey
	luid  int64
	count int
	// dyingFor is the last request id given out when the count fell to zero: calls up to that one may have been answered
	// with a mention of the object before the peer's decref was under way.
	dyingFor   int64
	dyingSince time.Time
	// view is what comes home where the export is more than its object: what the user has sent, or what was made in its
	// place. made says that it was made.
	view *flavors.ViewPoint
	made bool
	// caller is on whose behalf calls through the export are made; it knows the object if reached is set.
	caller  *flavors.Caller
	reached bool
	// onRelease are those who want to know when the peer has let go.
	onRelease []func()
}

func newExports() exports {
	return exports{byLuid: map[int64]*export{}, byKey: map[exportKey]*export{}, names: map[string]*export{}}
}

// mention counts one reference of the peer's to an object, and gives the object a luid if it has none.
func (x *exports) mention(c *connection, hole flavors.ExportHole) (*export, error) {
	key := exportKey{hole.Core, hole.Prefix, hole.Perspective}
	if e := x.byKey[key]; e != nil {
		e.count++
		e.sent(hole.View)
		e.notify(hole.OnRelease)
		x.admit(hole)
		return e, nil
	}
	if len(x.byKey) >= c.limits.Exports { // What is dying does not count: the peer has let go of it.
		if hole.OnRelease != nil {
			hole.OnRelease() // What is never given has been let go.
		}
		c.countRejection(rejectExports)
		return nil, fmt.Errorf("%w: Limits.Exports is %d", ErrTooManyReferences, c.limits.Exports)
	}
	x.last++
	e := &export{exportKey: key, luid: x.last, count: 1, view: hole.View, caller: c.callerOf(hole)}
	e.notify(hole.OnRelease)
	x.byLuid[e.luid] = e
	x.byKey[key] = e
	x.admit(hole)
	key.core.Hold(c.rt)
	c.exported.Add(1)
	c.account.Keep(exportSize)
	usercode.Log(func() { c.log.Debug().Int64("luid", e.luid).Stringer("object", key.core).Msg("object exported") })
	return e, nil
}

// admit has calls through what a user's perspective was given before the login, and through the avatar, made on the
// user's behalf.
func (x *exports) admit(hole flavors.ExportHole) {
	if hole.Caller == nil {
		return
	}
	for _, e := range x.byLuid {
		ofTheUser := e.perspective == hole.Perspective &&
			(e.perspective != nil || e.core == hole.Core && e.prefix == hole.Prefix)
		if ofTheUser && e.caller != hole.Caller {
			e.caller, e.reached = hole.Caller, false
		}
	}
}

// sent notes a view of the user's, which is what comes home from then on, unless another one was sent before.
func (e *export) sent(view *flavors.ViewPoint) {
	if view != nil && (e.view == nil || e.made) {
		e.view, e.made = view, false
	}
}

// home is what a [local …] stands for: the object, or the view of it that the peer was given (P-5.2).
func (e *export) home() any {
	if e.prefix == flavors.PrefixRemote {
		return e.core.Value()
	}
	if e.view == nil {
		e.view, e.made = flavors.ViewOf(e.core, e.prefix, e.perspective), true
	}
	return e.view
}

func (e *export) notify(onRelease func()) {
	if onRelease != nil {
		e.onRelease = append(e.onRelease, onRelease)
	}
}

// decref undoes mentions. With the last one the object is dying until no call is under way whose answer may mention it.
func (x *exports) decref(c *connection, luid int64, n int, lastRequest int64) error {
	e := x.byLuid[luid]
	if e == nil || e.count < n {
		return protocolErrorf("decref", "the peer holds no reference to luid %d", luid).as(rejectCount)
	}
	e.count -= n
	if e.count == 0 {
		x.gone(c, e)
		e.dyingFor, e.dyingSince = lastRequest, time.Now()
		x.dying = append(x.dying, e)
		if len(x.dying) > c.limits.Exports { // A peer cannot make us remember any number of them.
			x.drop(c, x.dying[0])
			x.dying = slices.Delete(x.dying, 0, 1)
		}
	}
	return nil
}

// gone notes that the peer no longer holds an object.
func (x *exports) gone(c *connection, e *export) {
	delete(x.byKey, e.exportKey)
	c.exported.Add(-1)
}

// unmention takes a mention back that the peer has never seen.
func (x *exports) unmention(c *connection, e *export) {
	e.count--
	if e.count == 0 {
		x.gone(c, e)
		x.drop(c, e)
	}
}

// bury drops the dying whose time has come: those for which no call up to dyingFor is pending, and those that have been
// dying since long. oldest is the oldest pending call.
func (x *exports) bury(c *connection, oldest int64, long time.Time) {
	n := 0
	for n < len(x.dying) && (x.dying[n].dyingFor < oldest || !x.dying[n].dyingSince.After(long)) {
		x.drop(c, x.dying[n])
		n++
	}
	x.dying = slices.Delete(x.dying, 0, n)
}

func (x *exports) drop(c *connection, e *export) {
	delete(x.byLuid, e.luid)
	e.core.Release()
	for _, f := range e.onRelease {
		f()
	}
	c.account.Keep(-exportSize)
	usercode.Log(func() { c.log.Debug().Int64("luid", e.luid).Stringer("object", e.core).Msg("reference released") })
}

// find looks up what a call or a [local …] names.
func (x *exports) find(luid int64, name string) *export {
	if name != "" {
		return x.names[name]
	}
	return x.byLuid[luid]
}

// publish makes an object, or a view, callable by name. A Viewable is published as a view without a perspective. An
// avatar belongs to a login: by a name only its Remote… methods can be called.
func (x *exports) publish(c *connection, name string, v any) error {
	hole, err := flavors.ExportOf(v)
	if err != nil {
		return fmt.Errorf("publishing %q: %w", name, err)
	}
	if err := hole.Core.UsableIn(c.rt); err != nil {
		return fmt.Errorf("publishing %q: %w", name, err)
	}
	if hole.Prefix != flavors.PrefixView && hole.View == nil {
		hole.Prefix = flavors.PrefixRemote
	}
	hole.Core.Hold(c.rt)
	x.names[name] = &export{
		exportKey: exportKey{hole.Core, hole.Prefix, hole.Perspective},
		count:     1,
		view:      hole.View,
		caller:    c.caller,
	}
	return nil
}

// clear lets go of everything, when the connection has ended.
func (x *exports) clear(c *connection) {
	for _, e := range x.byKey {
		x.gone(c, e)
	}
	for _, e := range x.byLuid {
		x.drop(c, e)
	}
	for name, e := range x.names {
		e.core.Release()
		delete(x.names, name)
	}
	x.dying = nil
}
