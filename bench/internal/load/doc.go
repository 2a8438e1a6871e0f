// Package load is the measuring code, the same for every system that is written in Go: callers that each make one call after the
// other, and a histogram of how long the calls took.
package load
