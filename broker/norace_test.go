//go:build !race

package broker_test

// mostCallAllocs is how often both sides of a small call may allocate.
const mostCallAllocs = 0

// mostUpdateAllocs is how often an update may allocate for each observer. What is allocated once for all counts too.
const mostUpdateAllocs = 0.5
