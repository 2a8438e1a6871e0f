package broker

import (
	"fmt"

	"github.com/perspectivebroker/pb/broker/internal/command"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// localCaches is the peer's originals of which we keep copies. It belongs to the broker actor.
//
// Invariant: a luid is in one of the two at most, from its first mention until the peer says uncache.
type localCaches struct {
	byLuid map[int64]*flavors.LocalCache
	// given is those whose handle has been given back and that the peer has not forgotten yet.
	given map[int64]struct{}
	// refused are originals that came with what could not be taken. The peer has counted them: each mention is given back
	// at once, and with the last of them the peer says uncache.
	refused map[int64]struct{}
}

// maxRefused is how many refused originals a peer may owe its uncache for. A peer that means well has a few, one for
// each that was under way when it was told.
const maxRefused = 1 << 16

func newLocalCaches() localCaches {
	return localCaches{byLuid: map[int64]*flavors.LocalCache{}, given: map[int64]struct{}{}, refused: map[int64]struct{}{}}
}

// add enters a copy that was made. A peer that gives one luid to two originals has nobody but itself to blame that the
// first is not followed any more.
func (x *localCaches) add(m madeCache) {
	if old := x.byLuid[m.luid]; old != nil {
		old.Disconnected()
	}
	delete(x.refused, m.luid)
	delete(x.given, m.luid)
	x.byLuid[m.luid] = m.cache
}

// receive gives the handle for one more mention of an original.
func (x *localCaches) receive(l *flavors.LocalCache, luid int64) flavors.Handle {
	delete(x.given, luid)
	return l.Receive()
}

// gaveBack notes that the peer has been told of mentions that were given back.
func (x *localCaches) gaveBack(luid int64) {
	if l := x.byLuid[luid]; l != nil && !l.IsHeld() {
		x.given[luid] = struct{}{}
	}
}

// held is how many copies the peer has not been told that they were given back.
func (x *localCaches) held() int { return len(x.byLuid) - len(x.given) }

// uncache ends an entry, when the peer says that it may be forgotten (P-7.4).
func (x *localCaches) uncache(luid int64) error {
	if _, ok := x.refused[luid]; ok {
		delete(x.refused, luid)
		return nil
	}
	l := x.byLuid[luid]
	if l == nil {
		return protocolErrorf("uncache", "there is no cache with luid %d here", luid).as(rejectCount)
	}
	delete(x.byLuid, luid)
	delete(x.given, luid)
	l.Disconnected()
	return nil
}

// taken is how many copies count against the limit: those that somebody on this side holds. Those that were given back
// wait for the peer's uncache, and count only beyond as many again.
func (x *localCaches) taken(limit int) int {
	return max(x.held(), len(x.byLuid)-limit)
}

// clear makes every copy stale, when the connection has ended.
func (x *localCaches) clear() {
	for _, l := range x.byLuid {
		l.Disconnected()
	}
	clear(x.byLuid)
	clear(x.given)
}

// receiveRefused takes what a command mentions that is not carried out: the peer has counted it. Copies that there are
// handles for are received, to be released with the rest of the command; anything else is given back here.
func (b *broker) receiveRefused(received []flavors.Handle, m jelly.Mention) []flavors.Handle {
	if m.Tag == "remote" {
		b.append(func(dst []byte) []byte { return command.AppendDecref(dst, b.c.profile, m.ID) })
		return received
	}
	if l := b.local.byLuid[m.ID]; l != nil {
		return append(received, b.local.receive(l, m.ID))
	}
	if m.Tag == "cached" {
		if _, ok := b.local.refused[m.ID]; !ok {
			return received // It was never sent, so it was not counted either.
		}
	}
	b.local.refused[m.ID] = struct{}{}
	b.append(func(dst []byte) []byte { return command.AppendDecache(dst, b.c.profile, m.ID) })
	return received
}

// unmade is what a command mentions that was not bound: the originals that were not made, and mentions of these.
func unmade(unbound []*jelly.Unbound) (mentions []jelly.Mention) {
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

// tooManyCaches says why one more copy is not made; nil if it may be.
func tooManyCaches(have, limit int) error {
	if have < limit {
		return nil
	}
	return fmt.Errorf("%w: this side keeps %d caches for the peer already (Limits.Caches)", ErrTooManyReferences, limit)
}
