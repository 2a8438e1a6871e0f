package table

// Caches is the table of our Cacheables of which the peer keeps caches. The zero Caches is empty.
//
// When the peer has released a cache, its original is told first. Then the peer gets [uncache id], and the entry
// lingers.
type Caches[K comparable, V any] struct{ Counted[K, V] }

// HasRoom reports whether one more entry is within limit. Entries that the peer has released do not count, as long as
// there are no more than limit whose originals have not been told.
func (x *Caches[K, V]) HasRoom(limit int) bool { return x.Len() < limit && x.leaving() < limit }

func (x *Caches[K, V]) leaving() int { return len(x.byID) - len(x.byKey) - x.lingering }
