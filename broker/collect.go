package broker

import (
	"runtime"
	"sync"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
)

// A peer keeps an object as long as a handle on it lives here, and may hand out a bounded number of objects: 1,024 if
// it is a stock one. Go's collector finds out which handles nobody holds, but it runs as the heap grows, and a handle
// is small: with a large heap thousands of them would pass between two collections. So each broker counts the handles
// that were made since the last one. When these are a quarter of what the peer may have left, it asks for a collection;
// when they are half of it, it carries out nothing that brings more until the collection is over. Handles that are
// found to be held raise the mark, so a program that keeps its references causes few collections.

const (
	// peerReferences is how many objects a stock peer hands out, and how many caches.
	peerReferences = 1024
	// leastFresh and leastWait are the smallest numbers of new handles at which a collection is asked for, and waited for.
	leastFresh, leastWait = 4, 8
)

// collector runs the collections that brokers ask for, one at a time, and rests between two for as long as the first
// took: a peer that brings references without end costs half of the time of one collection after the other, whatever
// the size of the heap.
type collector struct {
	rt *actor.Runtime

	mu sync.Mutex
	// Guarded by mu.
	waiting []func()
	running bool
}

type collectorKey struct{}

func collectorOf(rt *actor.Runtime) *collector {
	return rt.Extension(collectorKey{}, func() any { return &collector{rt: rt} }).(*collector)
}

// request has done called after a collection that has begun after the request, or at once if the runtime is closing.
func (k *collector) request(done func()) {
	k.mu.Lock()
	k.waiting = append(k.waiting, done)
	start := !k.running
	k.running = true
	k.mu.Unlock()
	if start && !k.rt.Go("collecting references", k.work) {
		k.finish()
	}
}

// work runs collections until nobody waits for one.
func (k *collector) work() {
	for {
		k.mu.Lock()
		waiting := k.waiting
		k.waiting = nil
		if len(waiting) == 0 {
			k.running = false
			k.mu.Unlock()
			return
		}
		k.mu.Unlock()
		began := time.Now()
		runtime.GC()
		took := time.Since(began)
		for _, done := range waiting {
			done()
		}
		k.rest(took)
	}
}

// rest waits for d, unless the runtime closes.
func (k *collector) rest(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-k.rt.Closing():
	}
}

// finish tells those who wait that there will be no collection.
func (k *collector) finish() {
	k.mu.Lock()
	waiting := k.waiting
	k.waiting, k.running = nil, false
	k.mu.Unlock()
	for _, done := range waiting {
		done()
	}
}

// fresh counts the handles of one kind. It belongs to the broker actor.
type fresh struct{ kept int } // how many there were after the last collection

// marks is at how many handles a collection is asked for, and at how many it is waited for. limit is how many there may
// be here, coming how many calls are under way whose answers may bring more.
func (f *fresh) marks(have, limit, coming int) (collect, pause int) {
	f.kept = min(f.kept, have) // Those that were given back one by one make room.
	most, longest := min(limit, peerReferences), peerReferences
	if f.kept >= most {
		// It is no stock peer, and what it may hand out is not known.
		most, longest = limit, max(peerReferences, 2*f.kept)
	}
	room := min(most-f.kept, longest)
	room -= max(0, min(coming, room/2))
	return f.kept + max(room/4, leastFresh), f.kept + max(room/2, leastWait)
}

// collected says that a collection is over which began after it was asked for.
type collected struct{}

// mustWait reports whether a command is to be carried out only after a collection, because it brings handles of which
// there are many.
func (b *broker) mustWait(cmd *incoming) bool {
	refs, caches := brings(cmd)
	if !refs && !caches || !b.c.sends() {
		return false
	}
	if !b.isFull(refs, caches) {
		return false
	}
	if !b.collecting {
		b.releaseCollected() // There may have been a collection that nobody asked for.
		if !b.isFull(refs, caches) {
			return false
		}
		b.collecting = true
		b.c.metrics.collections.Add(1)
		c := b.c
		collectorOf(c.rt).request(func() { c.post(collected{}) })
	}
	b.paused = b.isTooFull(refs, caches)
	return b.paused
}

// brings says whether a command may bring references, and caches.
func brings(cmd *incoming) (refs, caches bool) {
	for _, u := range cmd.unbound {
		switch {
		case u.Tag == "remote":
			refs = true
		case u.IsInstance() && u.Entry().Kind == jelly.RemoteCache:
			caches = true
		}
	}
	return refs, caches
}

func (b *broker) isFull(refs, caches bool) bool {
	return b.reached(refs, caches, func(have, collect, _ int) bool { return have >= collect })
}

func (b *broker) isTooFull(refs, caches bool) bool {
	return b.reached(refs, caches, func(have, _, pause int) bool { return have >= pause })
}

func (b *broker) reached(refs, caches bool, mark func(have, collect, pause int) bool) bool {
	coming := int(b.c.pending.Load())
	if refs {
		have := b.imports.Len()
		if collect, pause := b.freshRefs.marks(have, b.c.account.Imports(), coming); mark(have, collect, pause) {
			return true
		}
	}
	if caches {
		have := b.local.Held()
		if collect, pause := b.freshCaches.marks(have, b.c.limits.Caches, coming); mark(have, collect, pause) {
			return true
		}
	}
	return false
}

// releaseCollected gives back the handles that were collected. It does not wait for the collector's goroutines to tell.
func (b *broker) releaseCollected() {
	b.imports.Sweep()
	b.local.Sweep()
	// What was handed over before does not mention them, so their decrefs need not stand behind it.
	b.sendDecrefs()
}

// collected goes on with what has waited for a collection.
func (b *broker) collected() {
	if !b.c.sends() {
		return
	}
	b.releaseCollected()
	b.collecting, b.paused = false, false
	b.freshRefs.kept, b.freshCaches.kept = b.imports.Len(), b.local.Held()
}
