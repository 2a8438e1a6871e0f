// Package child is how the process that compares talks to those that it has started: one JSON object a line, a request on the child's
// standard input, its reply on its standard output. A child first says that it is ready, with the address that a server serves at, and
// ends when its input does.
package child
