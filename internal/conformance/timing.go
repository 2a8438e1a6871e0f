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
	at time.Time
	n  int
	do func()
}

// after runs f after d, unless the connection has ended by then. f must not block.
func (a *timers) after(d time.Duration, f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over {
		return
	}
	a.count++
	heap.Push(&a.due, timer{time.Now().Add(d), a.count, f})
	if a.due[0].n == a.count {
		a.setLocked()
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
	return heap.Pop(&a.due).(timer).do
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
type schedule []timer

func (s schedule) Len() int      { return len(s) }
func (s schedule) Swap(i, j int) { s[i], s[j] = s[j], s[i] }
func (s *schedule) Push(x any)   { *s = append(*s, x.(timer)) }
func (s schedule) Less(i, j int) bool {
	if s[i].at.Equal(s[j].at) {
		return s[i].n < s[j].n
	}
	return s[i].at.Before(s[j].at)
}

func (s *schedule) Pop() any {
	last := len(*s) - 1
	x := (*s)[last]
	(*s)[last] = timer{}
	*s = (*s)[:last]
	return x
}
