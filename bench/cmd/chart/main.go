// Chart draws what compare has measured as bars, one panel for each workload, in an SVG file:
//
//	go -C bench run ./cmd/chart -out ../docs/performance.svg                      the latest full run in results/
//	go -C bench run ./cmd/chart -out ../docs/performance.svg results/NAME.json
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/perspectivebroker/pb/bench/internal/report"
)

func main() {
	out := flag.String("out", "results/chart.svg", "the `file` to be written")
	flag.Parse()
	if err := run(*out, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "chart:", err)
		os.Exit(1)
	}
}

func run(out string, args []string) error {
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
	return os.WriteFile(out, draw(r), 0o666)
}

// latest is the newest full run, or else the newest quick one; names begin with the date.
func latest() (string, error) {
	for _, mode := range []string{"full", "quick"} {
		found, err := filepath.Glob(filepath.Join("results", "*-"+mode+".json"))
		if err != nil {
			return "", err
		}
		if len(found) > 0 {
			return slices.Max(found), nil
		}
	}
	return "", errors.New("there is nothing in results/ yet: run ./cmd/compare first")
}
