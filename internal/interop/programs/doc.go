// Package programs tests with programs that people run: Libervia's bridge and kajongg's server as Debian packages them,
// and stock scripts that play the classes and calls of programs that are not installed.
package programs
