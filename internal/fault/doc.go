// Package fault is for tests: it puts a network that fails between a connection and its user. What happens to a connection is a [Plan],
// drawn from a seed, so that what went wrong once goes wrong again: its bytes are split and delayed, and at some byte it is closed, reset,
// half-closed or swallowed up. It loses nothing before that byte, duplicates nothing and changes nothing, because no network does
// that to TCP.
package fault
