// Package pbtest has the helpers that the tests of several packages share: a Runtime that ends with the test, a server,
// a listener for pipes, and connections whose other end is a scripted peer of package wire. Only tests import it.
//
// It imports package broker. Tests inside broker and the packages below it cannot use pbtest, but their external tests
// (package x_test) can.
package pbtest
