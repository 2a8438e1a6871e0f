// Command testsum reads the output of `go test -json` and prints it as `go test` would: one line per package, the
// output of failed tests, and the messages of skipped tests. The last line is
//
//	N passed, N failed, N skipped
//
// The exit status is 1 if a test failed, if no test ran, or, with -no-skips, if a test was skipped. Tests and subtests
// count alike. A package that fails without a failing test, such as one that does not build, counts as one failure.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	noSkips := flag.Bool("no-skips", false, "exit with status 1 if a test was skipped")
	flag.Parse()
	sum := newSummary(os.Stdout)
	if err := sum.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "testsum:", err)
		os.Exit(2)
	}
	if !sum.close(*noSkips) {
		os.Exit(1)
	}
}
