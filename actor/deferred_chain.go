package actor

import (
	"fmt"
	"sync"

	"github.com/perspectivebroker/pb/internal/usercode"
)

// follow has d get the result of source. d is promised.
func (d *Deferred) follow(source *Deferred) {
	// Every member of a cycle marks itself before it looks, so that at least one of them sees all of it.
	for at := source; at != nil; at = at.followed() {
		if at == d {
			d.mu.Lock()
			if d.state == promised {
				d.settle(nil, ErrCycle)
			} else {
				d.mu.Unlock()
			}
			return
		}
	}
	source = source.promise()
	d.mu.Lock()
	if d.state == promised {
		d.follows = source // so that the next one to follow has a short way
	}
	d.mu.Unlock()

	source.mu.Lock()
	if source.state < settling {
		source.listen(&listener{follower: d})
		source.mu.Unlock()
		return
	}
	value, err := source.value, source.err
	source.mu.Unlock()
	d.mu.Lock()
	if d.state != promised {
		d.mu.Unlock()
		return
	}
	d.settle(value, err)
}

// promise returns the Deferred at the end of those that stand for another.
func (d *Deferred) promise() *Deferred {
	for {
		d.mu.Lock()
		source, further := d.follows, d.state == promised
		d.mu.Unlock()
		if !further {
			return d
		}
		d = source
	}
}

func (d *Deferred) followed() *Deferred {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.follows
}

// Canceller owns work whose result a Deferred stands for, and can give it up.
type Canceller interface {
	// CancelWork is called by Cancel of the Deferred, at most once and before it fails. It must not wait.
	CancelWork()
}

// cancelFunc is what OnCancel was given.
type cancelFunc func()

// CancelWork implements Canceller.
func (f cancelFunc) CancelWork() { f() }

// OnCancel sets what Cancel does first, so that the owner of the work can give it up. It replaces what was set before.
func (d *Deferred) OnCancel(f func()) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.state != pending {
		return
	}
	d.cancel = nil
	if f != nil {
		d.cancel = cancelFunc(f)
	}
}

// Cancel gives up waiting. It does what OnCancel set, and then fails d with ErrCancelled, if that has not completed
// it. Where d comes from Then, or stands for another Deferred, it is the one at the source that is cancelled,
// and the failure runs down the continuations from there; everyone who waits for the same source sees it.
// Nothing happens if the result is there.
func (d *Deferred) Cancel() {
	if d == nil {
		return
	}
	for {
		source := d.followed()
		if source == nil {
			break
		}
		if _, _, over := source.Result(); over {
			break
		}
		d = source
	}
	d.mu.Lock()
	cancel := d.cancel
	d.cancel = nil
	d.mu.Unlock()
	if cancel != nil {
		if p := usercode.Do(cancel.CancelWork); p != nil {
			d.rt.logFunction("a function given to OnCancel panicked", p)
		}
	}
	d.Complete(nil, ErrCancelled)
}

// All returns a Deferred whose value is a []any with the values of ds, in their order, once all are there. It fails
// as soon as one of them does, with that one's error. Cancelling it cancels all of them.
func All(ds ...*Deferred) *Deferred {
	all := new(Deferred)
	if len(ds) == 0 {
		all.Complete([]any{}, nil)
		return all
	}
	for i, d := range ds {
		if d == nil {
			all.Complete(nil, fmt.Errorf("actor: All: number %d of %d: %w", i+1, len(ds), ErrNilDeferred))
			return all
		}
		if all.rt == nil {
			all.rt = d.rt
		}
	}
	sum := &gathering{all: all, values: make([]any, len(ds)), missing: len(ds)}
	all.OnCancel(func() {
		for _, d := range ds {
			d.Cancel()
		}
	})
	for i, d := range ds {
		d.OnComplete(func(value any, err error) { sum.add(i, value, err) })
	}
	return all
}

// gathering is the state of All.
type gathering struct {
	all     *Deferred
	mu      sync.Mutex
	values  []any
	missing int
}

func (g *gathering) add(i int, value any, err error) {
	if err != nil {
		g.all.Complete(nil, err)
		return
	}
	g.mu.Lock()
	g.values[i] = value
	g.missing--
	complete := g.missing == 0
	g.mu.Unlock()
	if complete {
		g.all.Complete(g.values, nil)
	}
}
