// Package stock runs programs of stock Twisted for tests, so that every claim of compatibility is tested against the
// real implementation.
//
// A test requires stock Twisted first and then starts the programs that it needs:
//
//	stock.Require(t)
//	peer := stock.Start(t, "testdata/peer.py", "--verbose")
//	port := peer.Port()                  // the script printed "port N"
//	peer.WaitLine("got first object")
//	peer.Stop()
//
// Scripts listen on port 0 and print the real port. The listings of Debian's twisted-doc use fixed ports;
// [StartListing] runs the unmodified files and maps these ports at run time (see boot.py).
//
// # When stock Twisted is missing
//
// On a developer's machine the test is skipped with a message that says what to install. If CI=true or
// PB_REQUIRE_STOCK=1 is set, the test fails instead, so that a pipeline cannot skip its interop tests unnoticed.
//
// # Processes
//
// Each program leads its own process group, which is killed when the test ends. Its standard input is a pipe held by
// the test. boot.py ends the program when that pipe closes, so no program outlives a test binary that was killed. If
// the test fails, the program's output is written to the test log.
package stock
