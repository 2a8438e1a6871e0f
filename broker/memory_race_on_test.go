//go:build race

package broker_test

// maxConnHeap bounds the heap for a connection. The race detector takes a part of it.
const maxConnHeap = 17_000
