// Package usercode calls functions and methods that the application wrote where their panic must be contained: the
// methods of errors and of panic values, callbacks, and everything that runs inside a log line.
//
// A typed nil pointer in an error interface, an Unwrap that returns its receiver and a String method that panics with
// its own receiver are ordinary mistakes. None of them may lose an answer, an actor or the process.
package usercode
