// Package exampletest runs the example programs inside a test's process, so that their output can be checked and their
// coverage counted. Only tests import it.
package exampletest
