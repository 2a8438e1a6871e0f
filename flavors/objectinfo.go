package flavors

import (
	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/internal/seam"
)

// Objects calls f with at most limit objects of rt that have an actor, the newest first. It returns how many there are.
// Objects that were sent and never called have no actor.
func (export) Objects(rt *actor.Runtime, limit int, f func(seam.ObjectInfo)) (total int) {
	w := turnWatchOf(rt)
	w.mu.Lock()
	total = w.length
	list := make([]*objectCore, 0, min(limit, total))
	for c := w.first; c != nil && len(list) < limit; c = c.active.watch.next {
		list = append(list, c)
	}
	w.mu.Unlock()
	for _, c := range list {
		if o, ok := c.info(); ok {
			f(o)
		}
	}
	return total
}

// info reports false if the actor has ended.
func (c *objectCore) info() (o seam.ObjectInfo, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.active
	if a.pid == nil {
		return o, false
	}
	o = seam.ObjectInfo{
		Actor: a.pid.Id, Type: typeName(c.value), Branch: c.branch.String(),
		Waiting: a.queue.len(), Running: clipText(a.working, maxQuotedName),
		Holders: int(c.holders + c.shown), Copies: len(a.observers),
	}
	if r := a.rare; r != nil {
		o.Restarts = r.restarts.Load()
		for _, p := range r.parked {
			o.Waiting += len(p.waiting)
		}
	}
	return o, true
}
