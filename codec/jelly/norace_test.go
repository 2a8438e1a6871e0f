//go:build !race

package jelly

// mostLongAllocs is how often the encoding of a long string may allocate.
const mostLongAllocs = 0
