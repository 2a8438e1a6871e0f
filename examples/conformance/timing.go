package main

import (
	"context"
	"math"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/flavors"
)

// RemoteLater answers x after ms milliseconds. It returns at once, so other calls of this object run meanwhile.
func (c *Conformance) RemoteLater(inv *flavors.Invocation, ms int64, x any) *actor.Deferred {
	d := actor.NewDeferred(inv.Conn().Runtime())
	c.timers.after(milliseconds(ms), func() { d.Complete(x, nil) })
	return d
}

// RemoteSlow blocks the object, as no method should: the calls behind it wait.
func (*Conformance) RemoteSlow(inv *flavors.Invocation, ms int64) {
	timer := time.NewTimer(milliseconds(ms))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-inv.Context().Done():
	}
}

// RemoteNever does not answer.
func (*Conformance) RemoteNever(inv *flavors.Invocation) *actor.Deferred {
	return actor.NewDeferred(inv.Conn().Runtime())
}

// RemoteClose drops the connection on which it was called, and so sends no answer. It starts a goroutine, because a
// method must not wait for its own connection; earlier answers are written first.
func (*Conformance) RemoteClose(inv *flavors.Invocation) (*actor.Deferred, error) {
	rt := inv.Conn().Runtime()
	conn, ok := inv.Conn().(interface{ Close(context.Context) error })
	if !ok {
		return nil, flavors.RuntimeError.Errorf("a %T cannot be closed", inv.Conn())
	}
	rt.Go("closing a connection", func() { _ = conn.Close(context.Background()) })
	return actor.NewDeferred(rt), nil
}

// milliseconds returns a duration and does not overflow.
func milliseconds(ms int64) time.Duration {
	return time.Duration(min(ms, math.MaxInt64/int64(time.Millisecond))) * time.Millisecond
}
