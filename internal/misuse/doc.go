// Package misuse tests that the public packages answer nil, zero and closed things with errors, and never with a panic
// or a wait without end.
package misuse
