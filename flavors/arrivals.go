package flavors

import (
	"context"
	"sync/atomic"
)

// Arrivals counts the calls of one peer that arrived between two moments and have not been carried out. Package broker
// begins a new count where somebody wants to wait for what has arrived so far.
type Arrivals struct {
	open   atomic.Int64 // calls, and one more while others may be added
	over   chan struct{}
	before atomic.Pointer[Arrivals] // nil once nobody needs to wait for it
}

// NewArrivals begins a count behind another, which may be nil.
func NewArrivals(before *Arrivals) *Arrivals {
	a := &Arrivals{over: make(chan struct{})}
	a.open.Store(1)
	a.before.Store(before)
	return a
}

// IsEmpty says that all its calls have been carried out, if more may be added.
func (a *Arrivals) IsEmpty() bool { return a.open.Load() == 1 }

// Close lets no more calls be added. It is to be called once.
func (a *Arrivals) Close() { a.less() }

// Before is the count before this one, nil if that is over.
func (a *Arrivals) Before() *Arrivals { return a.before.Load() }

func (a *Arrivals) less() {
	if a.open.Add(-1) == 0 {
		close(a.over)
	}
}

// Wait waits until all calls of this count, which is closed, and of those before it have been carried out. Nil is over.
func (a *Arrivals) Wait(ctx context.Context) error {
	for at := a; at != nil; at = at.before.Load() {
		select {
		case <-at.over:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if a != nil {
		a.before.Store(nil)
	}
	return nil
}
