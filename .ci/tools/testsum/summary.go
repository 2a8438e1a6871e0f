package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// event is one line of `go test -json`; see `go doc test2json`. Build events have an ImportPath.
type event struct {
	Action     string
	Package    string
	ImportPath string
	Test       string
	Output     string
}

// key identifies a test, or a package if test is empty.
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

// read processes all events of r. It prints lines that are not JSON unchanged; the go command reports usage errors that
// way.
func (s *summary) read(r io.Reader) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil || e.Action == "" {
				fmt.Fprint(s.out, string(line))
			} else {
				s.handle(e)
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

func (s *summary) handle(e event) {
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

// packageEnded prints the result line of the package. For a package that failed it prints all remaining output,
// including that of tests that a panic or a timeout cut off.
func (s *summary) packageEnded(e event) {
	if e.Action == "fail" && s.failedTests[e.Package] == 0 {
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
		if e.Action == "fail" || isResult(line) {
			fmt.Fprint(s.out, line)
		}
	}
}

// isResult reports whether line is the result line of a package that did not fail.
func isResult(line string) bool {
	return strings.HasPrefix(line, "ok  ") || strings.HasPrefix(line, "?   ")
}

// close prints the last line and reports whether the run succeeded.
func (s *summary) close(noSkips bool) bool {
	fmt.Fprintf(s.out, "%d passed, %d failed, %d skipped\n", s.passed, s.failed, s.skipped)
	switch {
	case s.failed > 0:
		return false
	case s.passed == 0:
		fmt.Fprintln(s.out, "testsum: no test ran")
		return false
	case noSkips && s.skipped > 0:
		fmt.Fprintln(s.out, "testsum: no test may be skipped; install what the skipped tests need")
		return false
	}
	return true
}
