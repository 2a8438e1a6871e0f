// Package graph makes values that a hostile peer can send: cyclic ones, and ones that reach a part 2^60 times in a few
// hundred bytes. Tests pass them to functions that take decoded values, with a bound on time and memory.
package graph
