//go:build race

package broker_test

// mostCallAllocs is how often both sides of a small call may allocate. With the race detector a sync.Pool forgets some
// of what it is given.
const mostCallAllocs = 20

// mostUpdateAllocs is how often an update may allocate for each observer.
const mostUpdateAllocs = 3.0
