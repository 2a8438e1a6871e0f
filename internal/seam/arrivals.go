package seam

import (
	"context"
	"sync/atomic"
)

// Arrivals counts the calls of one peer that arrived between two moments and have not been carried out. The broker
// begins a new count when somebody wants to wait for the calls that have arrived so far.
type Arrivals struct {
	open   atomic.Int64 // calls, and one more while calls may be added
	over   chan struct{}
	before atomic.Pointer[Arrivals] // nil once all its calls have been carried out
}

// NewArrivals begins a count behind another, which may be nil.
func NewArrivals(before *Arrivals) *Arrivals {
	a := &Arrivals{over: make(chan struct{})}
	a.open.Store(1)
	a.before.Store(before)
	return a
}

// Add counts a call.
func (a *Arrivals) Add() { a.open.Add(1) }

// Done notes that a call has been carried out.
func (a *Arrivals) Done() {
	if a.open.Add(-1) == 0 {
		close(a.over)
	}
}

// Close ends the count: no more calls may be added. It must be called once only.
func (a *Arrivals) Close() { a.Done() }

// IsEmpty reports whether all calls of a count that is not closed have been carried out.
func (a *Arrivals) IsEmpty() bool { return a.open.Load() == 1 }

// Before returns the count before this one; nil if its calls have been carried out.
func (a *Arrivals) Before() *Arrivals { return a.before.Load() }

// Wait waits until all calls of this count, which must be closed, and of those before it have been carried out. A nil
// Arrivals has no calls.
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
