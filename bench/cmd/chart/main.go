// Chart draws what compare has measured as bars, one panel for each workload, in an SVG file:
//
//	go -C bench run ./cmd/chart -out ../docs/performance.svg                      the latest full run in results/
//	go -C bench run ./cmd/chart -out ../docs/performance.svg results/NAME.json
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/perspectivebroker/pb/bench/internal/report"
)

func main() { os.Exit(run(os.Args[1:], os.Stderr)) }

// run is the program. It returns its exit status.
func run(args []string, log io.Writer) int {
	flags := flag.NewFlagSet("chart", flag.ContinueOnError)
	flags.SetOutput(log)
	out := flags.String("out", "results/chart.svg", "the `file` to be written")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	if err := chart(*out, flags.Args()); err != nil {
		fmt.Fprintln(log, "chart:", err)
		return 1
	}
	return 0
}

func chart(out string, args []string) error {
	var path string
	switch len(args) {
	case 0:
		var err error
		if path, err = latest(); err != nil {
			return err
		}
	case 1:
		path = args[0]
	default:
		return errors.New("give one file of results, or none for the latest")
	}
	r, err := report.Read(path)
	if err != nil {
		return err
	}
	if !drawable(r) {
		return fmt.Errorf("%s has nothing to draw: it is of a run that measured none of the workloads of a full one", path)
	}
	return os.WriteFile(out, draw(r), 0o666)
}

// latest is the newest full run, or else the newest quick one; names begin with the date.
func latest() (string, error) {
	for _, mode := range []string{"full", "quick"} {
		// Glob finds fault with patterns only, and this one is right.
		if found, _ := filepath.Glob(filepath.Join("results", "*-"+mode+".json")); len(found) > 0 {
			return slices.Max(found), nil
		}
	}
	return "", errors.New("there is nothing in results/ yet: run ./cmd/compare first")
}
