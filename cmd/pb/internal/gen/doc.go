// Package gen makes typed stubs from Go interfaces that are marked //pb:remote: a client type and a server for Go, and
// a class for Twisted. It also compares two versions of an interface.
//
// Load reads a package into a model. The model speaks of what is on the wire, in a notation like that of Python's type
// annotations, which is printed into the generated files and read back by Check.
package gen
