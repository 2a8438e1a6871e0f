package table

// LocalCaches is the table of our caches of the peer's Cacheables. The zero LocalCaches is empty.
//
// An id is in at most one of the table and the refused ones, from its first mention until the peer says uncache.
type LocalCaches[C LocalCache] struct {
	byID     map[int64]C
	released map[int64]struct{} // those in byID whose mentions were given back
	refused  map[int64]struct{} // those that were not made
}

// LocalCache is an entry of [LocalCaches].
type LocalCache interface {
	// IsHeld reports whether this side owes the peer mentions.
	IsHeld() bool
	// Disconnected ends the cache.
	Disconnected()
	// Sweep gives back mentions whose handles were collected.
	Sweep()
}

// Len returns how many entries the table has.
func (x *LocalCaches[C]) Len() int { return len(x.byID) }

// Add adds a cache that was made. It ends a cache that the peer gave the same id.
func (x *LocalCaches[C]) Add(id int64, cache C) {
	if old, ok := x.byID[id]; ok {
		old.Disconnected()
	}
	if x.byID == nil {
		x.byID = map[int64]C{}
	}
	delete(x.refused, id)
	delete(x.released, id)
	x.byID[id] = cache
}

// Find returns the cache with an id.
func (x *LocalCaches[C]) Find(id int64) (cache C, ok bool) {
	cache, ok = x.byID[id]
	return cache, ok
}

// Receive is Find for one more mention by the peer.
func (x *LocalCaches[C]) Receive(id int64) (cache C, ok bool) {
	cache, ok = x.byID[id]
	delete(x.released, id)
	return cache, ok
}

// Release notes that mentions were given back to the peer.
func (x *LocalCaches[C]) Release(id int64) {
	if cache, ok := x.byID[id]; !ok || cache.IsHeld() {
		return
	}
	if x.released == nil {
		x.released = map[int64]struct{}{}
	}
	x.released[id] = struct{}{}
}

// Held returns how many entries this side owes mentions of.
func (x *LocalCaches[C]) Held() int { return len(x.byID) - len(x.released) }

// Taken returns how many entries count against limit: those that this side holds. Released ones wait for the peer's
// uncache, and count only if there are more than limit in all.
func (x *LocalCaches[C]) Taken(limit int) int { return max(x.Held(), len(x.byID)-limit) }

// Refuse notes that a Cacheable arrived that was not made into a cache. Each of its mentions is given back at once, and
// the peer says uncache for the last. known is false for a mention of an earlier Cacheable; Refuse then reports whether
// that one was refused.
func (x *LocalCaches[C]) Refuse(id int64, isNew bool) bool {
	if _, ok := x.refused[id]; !ok && !isNew {
		return false
	}
	if x.refused == nil {
		x.refused = map[int64]struct{}{}
	}
	x.refused[id] = struct{}{}
	return true
}

// Refused returns for how many refused Cacheables the peer has not said uncache yet.
func (x *LocalCaches[C]) Refused() int { return len(x.refused) }

// Uncache ends an entry when the peer says uncache (P-7.4). It reports false if there is none.
func (x *LocalCaches[C]) Uncache(id int64) bool {
	if _, ok := x.refused[id]; ok {
		delete(x.refused, id)
		return true
	}
	cache, ok := x.byID[id]
	if !ok {
		return false
	}
	delete(x.byID, id)
	delete(x.released, id)
	cache.Disconnected()
	return true
}

// Sweep gives back the mentions of caches whose handles were collected.
func (x *LocalCaches[C]) Sweep() {
	for _, cache := range x.byID {
		cache.Sweep()
	}
}

// Clear ends all caches.
func (x *LocalCaches[C]) Clear() {
	for _, cache := range x.byID {
		cache.Disconnected()
	}
	x.byID, x.released = nil, nil
}
