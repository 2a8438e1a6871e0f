// Package stock runs programs of stock Twisted beside our tests, so that every claim of compatibility is
// made against the real thing and not against our reading of it.
//
// A test asks for stock first and starts what it needs:
//
//	stock.Require(t)
//	peer := stock.Start(t, "testdata/peer.py", "--verbose")
//	port := peer.Port()                  // the script printed "port N"
//	peer.WaitLine("got first object")
//	peer.Stop()
//
// Scripts listen on port 0 and print the real port. The listings of Debian's twisted-doc have their ports
// written into them; [StartListing] runs the unchanged files and maps those ports as it goes (see boot.py).
//
// # What happens when stock is missing
//
// On a developer's machine the test is skipped with a line that says what to install. Where CI=true or
// PB_REQUIRE_STOCK=1 is set it fails instead: a pipeline that quietly skips its interop tests is worth less
// than one that is red.
//
// # Processes
//
// Each program leads a process group of its own, which is killed when the test ends. Its standard input is a
// pipe that the test holds; boot.py ends the program when that pipe closes, so nothing survives a test binary
// that was killed. What a program printed goes to the test's log when the test has failed.
package stock
