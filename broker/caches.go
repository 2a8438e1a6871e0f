package broker

import (
	"fmt"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// caches is the originals of ours of which the peer keeps copies. It belongs to the broker actor.
//
// Invariants: an entry in byCore is in byLuid and has count > 0; an entry in byLuid that is not in byCore has count 0 and waits for its
// original to be told, after which the peer gets [uncache luid]. Each entry holds its core exactly once. Luids are those of exports,
// never used again.
type caches struct {
	byLuid map[int64]*cached
	byCore map[*flavors.Core]*cached
}

type cached struct {
	luid     int64
	core     *flavors.Core
	observer *flavors.Observer
	count    int
}

// cacheState is what an original has said for its first mention: it is observed, its state waits to be stamped into a message.
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
	if len(x.byLuid) >= b.c.limits.Caches {
		return nil, fmt.Errorf("%w: Limits.Caches is %d", ErrTooManyReferences, b.c.limits.Caches)
	}
	b.exports.last++
	e := &cached{luid: b.exports.last, core: s.core, observer: s.observer, count: 1}
	x.byLuid[e.luid] = e
	x.byCore[e.core] = e
	e.observer.SetLuid(e.luid)
	b.c.log.Debug().Int64("luid", e.luid).Stringer("object", e.core).Msg("cache begun")
	return e, nil
}

// decache undoes mentions by the peer. With the last one the observer is taken out, and then the peer gets its uncache (P-7.4).
func (x *caches) decache(b *broker, luid int64) error {
	e := x.byLuid[luid]
	if e == nil || e.count == 0 {
		return protocolErrorf("decache", "the peer holds no cache with luid %d", luid)
	}
	e.count--
	if e.count == 0 {
		delete(x.byCore, e.core)
		c := b.c
		e.core.Unobserve(e.observer, func() { c.handOver(observerGone{e}) })
	}
	return nil
}

// gone is the end of an entry whose original has been told.
func (x *caches) gone(c *Conn, e *cached) {
	if x.byLuid[e.luid] != e {
		return
	}
	delete(x.byLuid, e.luid)
	e.core.Release()
	c.log.Debug().Int64("luid", e.luid).Stringer("object", e.core).Msg("cache ended")
}

// clear has every original told, when the connection has ended.
func (x *caches) clear(c *Conn) {
	for _, e := range x.byLuid {
		if e.count > 0 {
			e.core.Unobserve(e.observer, nil)
		}
		x.gone(c, e)
	}
	clear(x.byCore)
}

// localCaches is the peer's originals of which we keep copies. It belongs to the broker actor.
type localCaches struct {
	byLuid map[int64]*flavors.LocalCache
	// refused are originals that came with what could not be taken: they were counted by the peer, were given back at once, and will be
	// uncached by it.
	refused map[int64]int
}

func newLocalCaches() localCaches {
	return localCaches{byLuid: map[int64]*flavors.LocalCache{}, refused: map[int64]int{}}
}

// uncache ends an entry, when the peer says that it may be forgotten (P-7.5).
func (x *localCaches) uncache(luid int64) error {
	if n := x.refused[luid]; n > 0 {
		if n == 1 {
			delete(x.refused, luid)
		} else {
			x.refused[luid] = n - 1
		}
		return nil
	}
	l := x.byLuid[luid]
	if l == nil {
		return protocolErrorf("uncache", "there is no cache with luid %d here", luid)
	}
	delete(x.byLuid, luid)
	l.Uncached()
	return nil
}

// clear makes every copy stale, when the connection has ended.
func (x *localCaches) clear() {
	for _, l := range x.byLuid {
		l.Disconnected()
	}
	clear(x.byLuid)
}
