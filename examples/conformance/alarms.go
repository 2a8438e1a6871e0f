package main

import (
	"container/heap"
	"sync"
	"time"
)

// alarms is what one connection has asked for at later times. It has one timer and one goroutine for them all: a timer
// for each would start a goroutine for each, thousands in the same moment where a peer asks for that.
type alarms struct {
	mu sync.Mutex
	// Guarded by mu.
	due   schedule
	count int // of all that there were
	timer *time.Timer
	over  bool
}

// alarm is something to be done. Those for the same time are done in order.
type alarm struct {
	at time.Time
	n  int
	do func()
}

// after has f run when d has passed, unless the connection has ended by then. f must not wait for later ones.
func (a *alarms) after(d time.Duration, f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over {
		return
	}
	a.count++
	heap.Push(&a.due, alarm{time.Now().Add(d), a.count, f})
	if a.due[0].n == a.count {
		a.setLocked()
	}
}

// setLocked sets the timer for the first of those that there are.
func (a *alarms) setLocked() {
	wait := time.Until(a.due[0].at)
	if a.timer == nil {
		a.timer = time.AfterFunc(wait, a.ring)
	} else {
		a.timer.Reset(wait)
	}
}

// ring does what is due.
func (a *alarms) ring() {
	for f := a.next(); f != nil; f = a.next() {
		f()
	}
}

// next takes out what is due, or sets the timer.
func (a *alarms) next() func() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.due) == 0 {
		return nil
	}
	if time.Until(a.due[0].at) > 0 {
		a.setLocked()
		return nil
	}
	return heap.Pop(&a.due).(alarm).do
}

// end forgets them all: nobody waits any more.
func (a *alarms) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over, a.due = true, nil
	if a.timer != nil {
		a.timer.Stop()
	}
}

// schedule implements heap.Interface.
type schedule []alarm

func (s schedule) Len() int      { return len(s) }
func (s schedule) Swap(i, j int) { s[i], s[j] = s[j], s[i] }
func (s *schedule) Push(x any)   { *s = append(*s, x.(alarm)) }
func (s schedule) Less(i, j int) bool {
	if s[i].at.Equal(s[j].at) {
		return s[i].n < s[j].n
	}
	return s[i].at.Before(s[j].at)
}

func (s *schedule) Pop() any {
	last := len(*s) - 1
	x := (*s)[last]
	(*s)[last] = alarm{}
	*s = (*s)[:last]
	return x
}
