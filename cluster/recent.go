package cluster

import (
	"iter"
	"time"
	"weak"
)

// userIdle is how long what a node keeps for a user of an object is kept at least after the user's last call. It is
// given back within twice that time. A user who calls later gets it anew.
const userIdle = time.Minute

// recent is what is kept for the users of an object. Its owner's lock guards it. The zero recent is empty.
type recent[V any] struct {
	used, unused map[User]V // since the last call of age
	aging        bool       // a timer runs
}

func (r *recent[V]) get(u User) (v V, ok bool) {
	if v, ok = r.used[u]; ok {
		return v, true
	}
	if v, ok = r.unused[u]; ok {
		r.set(u, v)
	}
	return v, ok
}

func (r *recent[V]) set(u User, v V) {
	if r.used == nil {
		r.used = map[User]V{}
	}
	r.used[u] = v
	delete(r.unused, u)
}

func (r *recent[V]) all() iter.Seq[V] {
	return func(yield func(V) bool) {
		for _, m := range [...]map[User]V{r.used, r.unused} {
			for _, v := range m {
				if !yield(v) {
					return
				}
			}
		}
	}
}

func (r *recent[V]) len() int { return len(r.used) + len(r.unused) }

// age forgets what was not used since the last call, except for what is to be kept still. It reports whether anything
// is left.
func (r *recent[V]) age(keep func(V) bool) (left bool) {
	old := r.unused
	r.used, r.unused = nil, r.used
	for u, v := range old {
		if keep(v) {
			r.set(u, v)
		}
	}
	r.aging = r.len() > 0
	return r.aging
}

// ageLater calls age of owner after a while, and again as long as it reports that anything is left. It does not keep
// the owner.
func ageLater[T any](after time.Duration, owner *T, age func(owner *T) (left bool)) {
	known := weak.Make(owner)
	time.AfterFunc(after, func() {
		if owner := known.Value(); owner != nil && age(owner) {
			ageLater(after, owner, age)
		}
	})
}
