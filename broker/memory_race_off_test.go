//go:build !race

package broker_test

// maxConnHeap bounds the heap for a connection.
const maxConnHeap = 13_500
