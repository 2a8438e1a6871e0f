package broker

import (
	"context"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/internal/seam"
)

// settle requests the calls that have arrived so far.
type settle struct {
	arrivals *seam.Arrivals // set before known is closed
	known    chan struct{}
}

// Settled implements seam.Conn.
func (c *connection) Settled(ctx context.Context) error {
	if ctx == nil {
		return actor.ErrNilContext
	}
	s := &settle{known: make(chan struct{})}
	c.post(s)
	select {
	case <-s.known:
		return s.arrivals.Wait(ctx)
	case <-c.stopped:
		return c.arrivals.Load().Wait(ctx)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// arrivedSoFar returns the calls that have arrived. Later calls are counted apart from them.
func (c *connection) arrivedSoFar() *seam.Arrivals {
	now := c.arrivals.Load()
	if c.ended() {
		return now
	}
	if now.IsEmpty() {
		return now.Before()
	}
	c.arrivals.Store(seam.NewArrivals(now))
	now.Close()
	return now
}
