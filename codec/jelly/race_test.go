//go:build race

package jelly

// mostLongAllocs is larger under the race detector, where a sync.Pool forgets some of what it is given.
const mostLongAllocs = 10
