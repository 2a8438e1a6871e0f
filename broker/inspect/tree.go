package inspect

import (
	"cmp"
	"slices"
	"strings"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/supervision"
)

// tree returns the tree of actors. Actors of one kind below the same parent are one entry.
func tree(rt *actor.Runtime, seen []seenConn) Actors {
	t := supervision.TreeOf(rt)
	root := Actors{Name: t.Root().GetId(), Count: 1}
	for _, b := range []supervision.Branch{
		supervision.Listeners, supervision.Dialers, supervision.Objects, supervision.Caches,
	} {
		branch := Actors{Name: b.String(), Count: 1}
		for _, k := range t.Kinds(b) {
			if k.Actors > 0 || k.Restarts > 0 {
				branch.Below = append(branch.Below, Actors{Name: clean(k.Prefix), Count: k.Actors, Restarts: k.Restarts})
			}
		}
		switch b {
		case supervision.Listeners:
			branch.Below = acceptors(rt, branch.Below, seen)
		case supervision.Dialers:
			brokers(t.PID(b).GetId()+"/", branch.Below, seen)
		}
		slices.SortStableFunc(branch.Below, func(a, b Actors) int { return cmp.Compare(b.Count, a.Count) })
		branch.Below, branch.MoreBelow = cut(branch.Below)
		root.Below = append(root.Below, branch)
	}
	return root
}

func cut(list []Actors) (kept []Actors, more int) {
	n := min(len(list), maxKinds)
	return list[:n], len(list) - n
}

// acceptors replaces the kind of the listeners' actors by an entry for each, with its URL and its connections.
func acceptors(rt *actor.Runtime, kinds []Actors, seen []seenConn) []Actors {
	below := map[string]int{}
	for _, c := range seen {
		below[c.parent]++
	}
	single := map[string][]Actors{}
	for _, l := range broker.ListenersOf(rt) {
		id := l.PID().GetId()
		name := kindOf(id)
		a := Actors{Name: clean(name), Detail: clean(l.URL()), Count: 1}
		if n := below[id]; n > 0 {
			a.Below = []Actors{{Name: "broker", Count: n}}
		}
		single[name] = append(single[name], a)
	}
	list := kinds[:0:0]
	for _, k := range kinds {
		each := single[k.Name]
		if len(each) == 0 {
			list = append(list, k)
			continue
		}
		slices.SortFunc(each, func(a, b Actors) int { return strings.Compare(a.Detail, b.Detail) })
		each[0].Restarts = k.Restarts
		list = append(list, each...)
	}
	return list
}

// brokers adds the connections below a branch to the kinds of their parents.
func brokers(prefix string, kinds []Actors, seen []seenConn) {
	below := map[string]int{}
	for _, c := range seen {
		if strings.HasPrefix(c.parent, prefix) {
			below[kindOf(c.parent)]++
		}
	}
	for i := range kinds {
		if n := below[kinds[i].Name]; n > 0 {
			kinds[i].Below = []Actors{{Name: "broker", Count: n}}
		}
	}
}

// kindOf returns the prefix with which an actor was spawned.
func kindOf(id string) string {
	name := id[strings.LastIndexByte(id, '/')+1:]
	return name[:max(strings.LastIndexByte(name, '$'), 0)]
}
