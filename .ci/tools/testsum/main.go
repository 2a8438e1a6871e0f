// Command testsum reads what `go test -json` writes, prints it as `go test` would have (one line a package,
// the whole output of what failed, the reason of what was skipped) and ends with the line
//
//	N passed, N failed, N skipped
//
// Its exit status is 1 when something failed, when nothing ran, or, with -no-skips, when something was skipped.
// Tests and subtests count alike; a package that fails without a failing test (it does not build, it dies)
// counts as one failure.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	noSkips := flag.Bool("no-skips", false, "exit with status 1 when a test was skipped")
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
