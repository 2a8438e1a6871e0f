// Package graph makes the values that a hostile peer can send: they contain themselves, or reach one part 2^60 times in
// a few hundred bytes. Tests give them to whatever takes decoded values, with a bound on the work.
package graph
