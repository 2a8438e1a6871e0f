// Package fault simulates a failing network for tests: it wraps a connection and fails it according to a [Plan].
//
// A plan is drawn from a seed, so a failure can be reproduced. It splits and delays the bytes, and at a given byte
// closes, resets or half-closes the connection or drops everything that follows. Up to that byte nothing is lost,
// duplicated or changed, because TCP guarantees that.
package fault
