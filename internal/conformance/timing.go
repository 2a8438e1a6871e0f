package conformance

import (
	"container/heap"
	"context"
	"math"
	"sync"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/flavors"
)

// RemoteLater answers x after ms milliseconds, unless its caller leaves before. It returns at once, so other calls of
// this object run meanwhile.
func (c *Conformance) RemoteLater(ctx context.Context, inv *flavors.Invocation, ms int64, x any) *actor.Deferred {
	d := actor.NewDeferred(inv.Conn().Runtime())
	t := c.timers.after(milliseconds(ms), func() { d.Complete(x, nil) })
	endWith(ctx, inv, d, func() { c.timers.drop(t) })
	return d
}

// endWith fails the result of a call when ctx ends first, and calls dropped then. When the connection ends, nobody
// waits for the result.
func endWith(ctx context.Context, inv *flavors.Invocation, d *actor.Deferred, dropped func()) {
	conn := inv.Conn().Context()
	stop := context.AfterFunc(ctx, func() {
		if conn.Err() != nil {
			return
		}
		if dropped != nil {
			dropped()
		}
		d.Complete(nil, ctx.Err())
	})
	d.OnComplete(func(any, error) { stop() })
}

// RemoteSlow blocks the object, as no method should, until its time is over or its caller leaves: the calls behind it
// wait.
func (*Conformance) RemoteSlow(inv *flavors.Invocation, ms int64) {
	timer := time.NewTimer(milliseconds(ms))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-inv.Context().Done():
	}
}

// RemoteNever does not answer by itself.
func (*Conformance) RemoteNever(ctx context.Context, inv *flavors.Invocation) *actor.Deferred {
	d := actor.NewDeferred(inv.Conn().Runtime())
	endWith(ctx, inv, d, nil)
	return d
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

// timers are the delayed answers of one connection. All share one runtime timer and one goroutine: one for each answer
// would mean thousands of goroutines at once if the peer asks for that.
type timers struct {
	mu sync.Mutex
	// Guarded by mu.
	due   schedule
	count int // of all timers so far
	timer *time.Timer
	over  bool
}

// timer is a delayed function. Timers for the same time run in order.
type timer struct {
	at    time.Time
	n     int
	do    func()
	index int // in the schedule; -1 if it is not there any more
}

// after runs f after d, unless the connection has ended by then. f must not block. The timer may be given to drop.
func (a *timers) after(d time.Duration, f func()) *timer {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := &timer{at: time.Now().Add(d), do: f, index: -1}
	if a.over {
		return t
	}
	a.count++
	t.n = a.count
	heap.Push(&a.due, t)
	if a.due[0] == t {
		a.setLocked()
	}
	return t
}

// drop removes a timer that has not run.
func (a *timers) drop(t *timer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t.index >= 0 && !a.over {
		heap.Remove(&a.due, t.index)
	}
}

// setLocked sets the runtime timer for the first timer.
func (a *timers) setLocked() {
	wait := time.Until(a.due[0].at)
	if a.timer == nil {
		a.timer = time.AfterFunc(wait, a.fire)
	} else {
		a.timer.Reset(wait)
	}
}

// fire runs the timers that are due.
func (a *timers) fire() {
	for f := a.next(); f != nil; f = a.next() {
		f()
	}
}

// next removes and returns a timer that is due, or sets the runtime timer and returns nil.
func (a *timers) next() func() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.due) == 0 {
		return nil
	}
	if time.Until(a.due[0].at) > 0 {
		a.setLocked()
		return nil
	}
	return heap.Pop(&a.due).(*timer).do
}

// end drops all timers.
func (a *timers) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over, a.due = true, nil
	if a.timer != nil {
		a.timer.Stop()
	}
}

// schedule implements heap.Interface.
type schedule []*timer

func (s schedule) Len() int { return len(s) }

func (s schedule) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].index, s[j].index = i, j
}

func (s *schedule) Push(x any) {
	t := x.(*timer)
	t.index = len(*s)
	*s = append(*s, t)
}

func (s schedule) Less(i, j int) bool {
	if s[i].at.Equal(s[j].at) {
		return s[i].n < s[j].n
	}
	return s[i].at.Before(s[j].at)
}

func (s *schedule) Pop() any {
	last := len(*s) - 1
	t := (*s)[last]
	(*s)[last] = nil
	*s = (*s)[:last]
	t.index = -1
	return t
}
