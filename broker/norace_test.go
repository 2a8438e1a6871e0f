//go:build !race

package broker_test

// mostCallAllocs is how often both sides of a small call may allocate.
const mostCallAllocs = 0
