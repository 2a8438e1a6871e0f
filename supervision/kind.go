package supervision

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// Kind is the actors directly below a branch that were spawned with the same prefix, such as the objects of one type.
type Kind struct {
	Prefix string
	// Actors is how many there are now. Spawned is how many there have been, Restarts how often one was restarted.
	Actors            int
	Spawned, Restarts uint64
}

// MaxKinds is how many kinds a branch counts apart. Those beyond count as one, with the prefix "(other)".
const MaxKinds = 1024

const otherKinds = "(other)"

// Kinds returns the kinds of a branch, sorted by prefix.
func (t *Tree) Kinds(b Branch) []Kind {
	if t == nil || b >= branches || t.branches[b] == nil {
		return nil
	}
	return t.branches[b].kinds.list()
}

// kinds has the figures of a branch's kinds by prefix.
type kinds struct {
	mu sync.Mutex
	by map[string]*Kind // guarded by mu
}

func (k *kinds) list() []Kind {
	k.mu.Lock()
	defer k.mu.Unlock()
	list := make([]Kind, 0, len(k.by))
	for _, kind := range k.by {
		list = append(list, *kind)
	}
	slices.SortFunc(list, func(a, b Kind) int { return cmp.Compare(a.Prefix, b.Prefix) })
	return list
}

func (k *kinds) spawned(prefix string) {
	k.change(prefix, func(kind *Kind) { kind.Actors++; kind.Spawned++ })
}

func (k *kinds) restarted(prefix string) { k.change(prefix, func(kind *Kind) { kind.Restarts++ }) }

func (k *kinds) stopped(prefix string) { k.change(prefix, func(kind *Kind) { kind.Actors-- }) }

// prefixOf returns the prefix with which a child of the branch was spawned.
func (b *branch) prefixOf(child *protoactor.PID) string {
	name := strings.TrimPrefix(child.Id, b.pid.Id+"/")
	return name[:max(strings.LastIndexByte(name, '$'), 0)]
}

func (k *kinds) change(prefix string, f func(*Kind)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.by == nil {
		k.by = map[string]*Kind{}
	}
	kind := k.by[prefix]
	if kind == nil && len(k.by) >= MaxKinds {
		prefix = otherKinds
		kind = k.by[prefix]
	}
	if kind == nil {
		kind = &Kind{Prefix: strings.Clone(prefix)}
		k.by[kind.Prefix] = kind
	}
	f(kind)
}
