// Package interop plays Perspective Broker between this module and stock Twisted, in both directions.
//
// The Python side stands in python/: stock_server.py offers the conformance methods, stock_client.py checks
// whatever offers them and reports each check by name. The two are tried against each other first, so that a
// check which fails against ours has been seen to pass against stock.
//
// Beside them run the unchanged listings of Debian's twisted-doc (listings_test.go), and a scripted peer that
// speaks single protocol clauses to stock and to ours alike (clauses_test.go).
package interop
