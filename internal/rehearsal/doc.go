// Package rehearsal plays the examples in a test's own process, so that what they do is seen and counted where it stands. Nothing that is
// shipped imports it.
package rehearsal
