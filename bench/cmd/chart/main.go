// Command chart draws the results of the command compare as an SVG bar chart with one panel for each workload.
//
//	go -C bench run ./cmd/chart -out ../docs/performance.svg                      # the latest full run in results/
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

// run is main without the process. It returns the exit status.
func run(args []string, log io.Writer) int {
	flags := flag.NewFlagSet("chart", flag.ContinueOnError)
	flags.SetOutput(log)
	out := flags.String("out", "results/chart.svg", "write the chart to this `file`")
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
		return errors.New("want at most one results file; the default is the latest")
	}
	r, err := report.Read(path)
	if err != nil {
		return err
	}
	if !drawable(r) {
		return fmt.Errorf("%s has nothing to draw: it contains no workload of a full run", path)
	}
	return os.WriteFile(out, draw(r), 0o666)
}

// latest returns the newest full run, or the newest quick run if there is none. File names begin with the date.
func latest() (string, error) {
	for _, mode := range []string{"full", "quick"} {
		// Glob fails only on an invalid pattern.
		if found, _ := filepath.Glob(filepath.Join("results", "*-"+mode+".json")); len(found) > 0 {
			return slices.Max(found), nil
		}
	}
	return "", errors.New("no results in results/: run ./cmd/compare first")
}
