// Package conformance is the program examples/conformance. It is a package so that a module with a transport of its own
// can build it too.
package conformance
