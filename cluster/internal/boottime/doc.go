// Package boottime reads a clock that never jumps and that runs while the machine sleeps. The monotonic clock of
// package time stands still meanwhile on Linux, so that a lease would seem to be good when it has long ended.
package boottime
