package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// event is one line of `go test -json`, as `go doc test2json` describes it; build events carry an ImportPath.
type event struct {
	Action     string
	Package    string
	ImportPath string
	Test       string
	Output     string
}

// key names a test, or a package where Test is empty.
type key struct{ pkg, test string }

type summary struct {
	out                     io.Writer
	output                  map[key][]string
	failedTests             map[string]int // package -> failed tests in it
	passed, failed, skipped int
}

func newSummary(out io.Writer) *summary {
	return &summary{out: out, output: map[key][]string{}, failedTests: map[string]int{}}
}

// read takes all events. What is no JSON is passed on: go prints errors about its own command line so.
func (s *summary) read(r io.Reader) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil || e.Action == "" {
				fmt.Fprint(s.out, string(line))
			} else {
				s.take(e)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (s *summary) take(e event) {
	k := key{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		fmt.Fprint(s.out, e.Output)
	case "output":
		s.output[k] = append(s.output[k], e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			s.packageEnded(e)
		} else {
			s.testEnded(e)
		}
		delete(s.output, k)
	}
}

func (s *summary) testEnded(e event) {
	switch e.Action {
	case "pass":
		s.passed++
		return
	case "fail":
		s.failed++
		s.failedTests[e.Package]++
	case "skip":
		s.skipped++
	}
	for _, line := range s.output[key{e.Package, e.Test}] {
		if !strings.HasPrefix(line, "=== ") {
			fmt.Fprint(s.out, line)
		}
	}
}

// packageEnded prints the closing line of the package. A package that failed by itself prints all it has,
// which includes the output of tests that were cut off by a panic or a timeout.
func (s *summary) packageEnded(e event) {
	alone := e.Action == "fail" && s.failedTests[e.Package] == 0
	if alone {
		s.failed++
	}
	for k, lines := range s.output {
		if k.pkg == e.Package && k.test != "" {
			if e.Action == "fail" {
				fmt.Fprint(s.out, strings.Join(lines, ""))
			}
			delete(s.output, k)
		}
	}
	for _, line := range s.output[key{e.Package, ""}] {
		if e.Action == "fail" || closing(line) {
			fmt.Fprint(s.out, line)
		}
	}
}

// closing says whether it is the line with which go test ends a package that did not fail.
func closing(line string) bool {
	return strings.HasPrefix(line, "ok  ") || strings.HasPrefix(line, "?   ")
}

// close prints the sums and says whether all is well.
func (s *summary) close(noSkips bool) bool {
	fmt.Fprintf(s.out, "%d passed, %d failed, %d skipped\n", s.passed, s.failed, s.skipped)
	switch {
	case s.failed > 0:
		return false
	case s.passed == 0:
		fmt.Fprintln(s.out, "testsum: no test ran")
		return false
	case noSkips && s.skipped > 0:
		fmt.Fprintln(s.out, "testsum: nothing may be skipped here; install what the skipped tests ask for")
		return false
	}
	return true
}
