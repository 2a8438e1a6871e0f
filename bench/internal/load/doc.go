// Package load generates load and measures it, in the same way for every system that is written in Go. Each caller
// makes one call after the other; a histogram records the latencies.
package load
