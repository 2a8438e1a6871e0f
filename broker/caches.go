package broker

import (
	"fmt"
	"slices"
	"time"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// caches is the originals of ours of which the peer keeps copies. It belongs to the broker actor.
//
// Invariants: an entry in byCore is in byLuid and has count > 0; an entry in byLuid that is not in byCore has count 0
// and either waits for its original to be told, after which the peer gets [uncache luid], or is in dying. Each entry
// holds its core exactly once. Luids are those of exports, never used again.
type caches struct {
	byLuid map[int64]*cached
	byCore map[*flavors.Core]*cached
	// dying is the entries that are over but for an [lcache luid] that may still be on its way: a stock peer that sends an
	// original back says decache first, when it had nothing else holding its copy. Oldest first.
	dying []*cached
}

type cached struct {
	luid     int64
	core     *flavors.Core
	observer *flavors.Observer
	count    int
	// As in export.
	dyingFor   int64
	dyingSince time.Time
}

// cacheState is what an original has said for its first mention: it is observed, its state waits to be stamped into a
// message.
type cacheState struct {
	core     *flavors.Core
	observer *flavors.Observer
	fragment *jelly.Fragment
}

func newCaches() caches {
	return caches{byLuid: map[int64]*cached{}, byCore: map[*flavors.Core]*cached{}}
}

// add makes an entry for an original whose state is being stamped, with one mention.
func (x *caches) add(b *broker, s *cacheState) (*cached, error) {
	// What the peer has let go of does not count, as long as there is not as much of it again whose originals have not
	// been told.
	if limit := b.c.limits.Caches; len(x.byCore) >= limit || len(x.byLuid)-len(x.byCore)-len(x.dying) >= limit {
		b.c.countRejection(rejectCaches)
		return nil, fmt.Errorf("%w: Limits.Caches is %d", ErrTooManyReferences, b.c.limits.Caches)
	}
	b.exports.last++
	e := &cached{luid: b.exports.last, core: s.core, observer: s.observer, count: 1}
	x.byLuid[e.luid] = e
	x.byCore[e.core] = e
	e.observer.SetLuid(e.luid)
	b.tellLengths()
	usercode.Log(func() { b.c.log.Debug().Int64("luid", e.luid).Stringer("object", e.core).Msg("cache begun") })
	return e, nil
}

// decache undoes mentions by the peer. With the last one the observer is taken out, and then the peer gets its uncache
// (P-7.4).
func (x *caches) decache(b *broker, luid int64) error {
	e := x.byLuid[luid]
	if e == nil || e.count == 0 {
		return protocolErrorf("decache", "the peer holds no cache with luid %d", luid).as(rejectCount)
	}
	e.count--
	if e.count == 0 {
		delete(x.byCore, e.core)
		c := b.c
		e.core.Unobserve(e.observer, func() { c.handOver(observerGone{e}) })
	}
	return nil
}

// told is the end of an entry whose original has been told: it stays resolvable while calls are pending that may be
// answered with it.
func (x *caches) told(c *connection, e *cached, lastRequest int64) {
	e.dyingFor, e.dyingSince = lastRequest, time.Now()
	x.dying = append(x.dying, e)
	if len(x.dying) > c.limits.Caches {
		x.drop(c, x.dying[0])
		x.dying = slices.Delete(x.dying, 0, 1)
	}
}

// bury is that of exports.
func (x *caches) bury(c *connection, oldest int64, long time.Time) {
	n := 0
	for n < len(x.dying) && (x.dying[n].dyingFor < oldest || !x.dying[n].dyingSince.After(long)) {
		x.drop(c, x.dying[n])
		n++
	}
	x.dying = slices.Delete(x.dying, 0, n)
}

func (x *caches) drop(c *connection, e *cached) {
	delete(x.byLuid, e.luid)
	e.core.Release()
	usercode.Log(func() { c.log.Debug().Int64("luid", e.luid).Stringer("object", e.core).Msg("cache ended") })
}

// clear has every original told, when the connection has ended.
func (x *caches) clear(c *connection) {
	for _, e := range x.byLuid {
		if e.count > 0 {
			e.core.Unobserve(e.observer, nil)
		}
		x.drop(c, e)
	}
	clear(x.byCore)
	x.dying = nil
}
