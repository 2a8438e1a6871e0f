// Package interop tests this module with stock Twisted, in both directions.
//
// In python/, stock_server.py has the conformance methods, and stock_client.py checks a server that has them and
// reports each check by name. The two are tested with each other first, so a check that fails against ours passes
// against stock.
//
// Other tests run the unchanged listings of Debian's twisted-doc (listings_test.go), and single protocol clauses with a
// scripted peer against stock and ours (clauses_test.go).
package interop
