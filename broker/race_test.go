//go:build race

package broker_test

// mostCallAllocs is how often both sides of a small call may allocate. With the race detector a sync.Pool forgets some
// of what it is given.
const mostCallAllocs = 20
