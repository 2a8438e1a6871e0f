package table

import (
	"cmp"
	"container/list"
	"slices"
)

// Promise is a result that is not there yet, and the calls that wait for it. The zero Promise is pending.
type Promise[C any] struct {
	done bool
	line list.List // of *Wait[C]: the calls on it, in order
	args list.List // of *Wait[C]: the calls that have it in their arguments
}

// IsDone reports whether the result is there, or will not come.
func (p *Promise[C]) IsDone() bool { return p.done }

// Waits has the calls that wait for promises. A call on a promise also waits behind the earlier calls on it. The zero
// Waits is empty.
type Waits[C any] struct {
	last  uint64
	count int
}

// Wait is a call that waits.
type Wait[C any] struct {
	Call C

	number  uint64
	object  *Promise[C] // nil if the call is not on a promise
	missing int         // how many results are not there
	over    bool
	places  []waitPlace
}

// waitPlace is the place of a call in a list of a promise.
type waitPlace struct {
	in *list.List
	at *list.Element
}

// Len returns how many calls wait.
func (w *Waits[C]) Len() int { return w.count }

// MustWait reports whether a call on object, which may be nil, with these promises in its arguments has to wait.
func (*Waits[C]) MustWait(object *Promise[C], args []*Promise[C]) bool {
	if object != nil && (!object.done || object.line.Len() > 0) {
		return true
	}
	return slices.ContainsFunc(args, func(p *Promise[C]) bool { return !p.done })
}

// Add adds a call for which MustWait is true.
func (w *Waits[C]) Add(call C, object *Promise[C], args []*Promise[C]) *Wait[C] {
	w.last++
	w.count++
	x := &Wait[C]{Call: call, number: w.last, object: object}
	if object != nil {
		x.join(&object.line, !object.done)
	}
	for _, p := range args {
		if !p.done {
			x.join(&p.args, true)
		}
	}
	return x
}

func (x *Wait[C]) join(l *list.List, missing bool) {
	x.places = append(x.places, waitPlace{l, l.PushBack(x)})
	if missing {
		x.missing++
	}
}

// Done notes that the result of a promise is there. It removes the calls that need not wait any more, and returns them
// in the order in which they were added.
func (w *Waits[C]) Done(p *Promise[C]) (ready []*Wait[C]) {
	if p.done {
		return nil
	}
	p.done = true
	for _, x := range waitsIn[C](&p.line) {
		x.missing--
	}
	for _, x := range waitsIn[C](&p.args) {
		if x.missing--; x.missing > 0 {
			continue
		}
		if x.object == nil {
			ready = w.take(x, ready)
		} else {
			ready = w.advance(x.object, ready)
		}
	}
	return inOrder(w.advance(p, ready))
}

// Fail notes that the result of a promise will not come. It removes the calls that wait for it, and those that need not
// wait any more because of that. It returns both in the order in which they were added.
func (w *Waits[C]) Fail(p *Promise[C]) (failed, ready []*Wait[C]) {
	if p.done {
		return nil, nil
	}
	p.done = true
	for _, l := range []*list.List{&p.line, &p.args} {
		for _, x := range waitsIn[C](l) {
			failed = w.take(x, failed)
		}
	}
	for _, x := range failed {
		ready = w.advance(x.object, ready)
	}
	return inOrder(failed), inOrder(ready)
}

// Remove removes a call, and those that need not wait any more because of that, which it returns. It has no effect on a
// call that waits no longer.
func (w *Waits[C]) Remove(x *Wait[C]) (ready []*Wait[C]) {
	if x.over {
		return nil
	}
	w.take(x, nil)
	return w.advance(x.object, nil)
}

// waitsIn returns the calls in a list.
func waitsIn[C any](l *list.List) []*Wait[C] {
	waits := make([]*Wait[C], 0, l.Len())
	for e := l.Front(); e != nil; e = e.Next() {
		waits = append(waits, e.Value.(*Wait[C])) //nolint:forcetypeassert // Only join adds.
	}
	return waits
}

// take removes a call and appends it to waits, unless it was removed before.
func (w *Waits[C]) take(x *Wait[C], waits []*Wait[C]) []*Wait[C] {
	if x.over {
		return waits
	}
	x.over = true
	w.count--
	for _, place := range x.places {
		place.in.Remove(place.at)
	}
	x.places = nil
	return append(waits, x)
}

// advance takes the calls on p from the front that need not wait.
func (w *Waits[C]) advance(p *Promise[C], ready []*Wait[C]) []*Wait[C] {
	if p == nil || !p.done {
		return ready
	}
	for e := p.line.Front(); e != nil; e = p.line.Front() {
		x := e.Value.(*Wait[C]) //nolint:forcetypeassert // Only join adds.
		if x.missing > 0 {
			break
		}
		ready = w.take(x, ready)
	}
	return ready
}

func inOrder[C any](waits []*Wait[C]) []*Wait[C] {
	slices.SortFunc(waits, func(a, b *Wait[C]) int { return cmp.Compare(a.number, b.number) })
	return waits
}
