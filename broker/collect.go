package broker

import (
	"github.com/perspectivebroker/pb/codec/jelly"
)

// collected says that a requested collection is over.
type collected struct{}

// mustWait reports whether a command has to wait for a collection, because it brings handles and there are many. It
// requests the collection.
func (b *broker) mustWait(cmd *incoming) bool {
	refs, caches := b.brings(cmd)
	if !refs && !caches || !b.c.sends() {
		return false
	}
	collect, pause := b.marksReached(refs, caches)
	if collect && !b.collecting {
		b.releaseCollected() // A collection that was not requested may have run.
		if collect, pause = b.marksReached(refs, caches); collect {
			c := b.c
			b.collecting = true
			c.metrics.collections.Add(1)
			collectorOf(c.rt).request(func() { c.post(collected{}) })
		}
	}
	b.paused = pause
	return pause
}

// brings reports whether a command may bring references that the peer hands out few of, and caches.
func (b *broker) brings(cmd *incoming) (refs, caches bool) {
	for _, u := range cmd.unbound {
		switch {
		case u.IsReference():
			refs = refs || u.Tag == "remote" || u.Tag != b.c.options.freeClass
		case u.IsInstance() && u.Entry().Kind == jelly.RemoteCache:
			caches = true
		}
	}
	return refs, caches
}

// marksReached is collectMarks.reached for references, caches, or both.
func (b *broker) marksReached(refs, caches bool) (collect, pause bool) {
	coming := int(b.c.pending.Load())
	if refs {
		collect, pause = b.refMarks.reached(b.imports.Limited(), b.c.account.Imports(), coming)
	}
	if caches {
		c, p := b.cacheMarks.reached(b.local.Held(), b.c.limits.Caches, coming)
		collect, pause = collect || c, pause || p
	}
	return collect, pause
}

// releaseCollected gives back the handles that were collected. It does not wait for their cleanups.
func (b *broker) releaseCollected() {
	b.imports.Sweep()
	b.local.Sweep()
	// Messages that were handed over before do not mention these handles, so their decrefs may overtake the messages.
	b.sendDecrefs()
}

// collectionOver continues with what has waited for a collection.
func (b *broker) collectionOver() {
	if !b.c.sends() {
		return
	}
	b.releaseCollected()
	b.collecting, b.paused = false, false
	b.refMarks.kept, b.cacheMarks.kept = b.imports.Limited(), b.local.Held()
}
