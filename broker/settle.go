package broker

import (
	"context"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/flavors"
)

// settle asks the broker which calls have arrived so far.
type settle struct {
	arrivals *flavors.Arrivals // written before known is closed
	known    chan struct{}
}

// Settled waits until every call that the peer sent before has been carried out: its method has returned, or it will
// not run, because it was refused or its object has stopped. What such a method does later, in a Deferred or another
// goroutine, is not waited for.
//
// An answer completes its call as soon as it is read, while calls that the peer sent before the answer may still wait
// for their objects. A goroutine that needs their effects calls Settled when it has the answer, or calls by way of
// [flavors.CallInOrder]. In the turn of an object, [actor.Deferred.Then] keeps the order by itself.
//
// A method that the peer calls must not use it, because it would wait for itself; neither may what such a method waits
// for.
func (c *Conn) Settled(ctx context.Context) error {
	switch {
	case !c.isMade():
		return errNoConn
	case ctx == nil:
		return actor.ErrNilContext
	}
	s := &settle{known: make(chan struct{})}
	c.post(s)
	select {
	case <-s.known:
		return s.arrivals.Wait(ctx)
	case <-c.gone:
		return c.arrivals.Load().Wait(ctx)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// arrivedSoFar is the calls that have arrived, and begins to count others apart from them.
func (c *Conn) arrivedSoFar() *flavors.Arrivals {
	now := c.arrivals.Load()
	if c.over.Load() {
		return now
	}
	if now.IsEmpty() {
		return now.Before()
	}
	c.arrivals.Store(flavors.NewArrivals(now))
	now.Close()
	return now
}
