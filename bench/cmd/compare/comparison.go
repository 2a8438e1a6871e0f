package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/perspectivebroker/pb/bench/internal/child"
	"github.com/perspectivebroker/pb/bench/internal/report"
	"github.com/perspectivebroker/pb/bench/internal/systems"
)

// comparison is one run of the program.
type comparison struct {
	options options
	scale   scale
	known   []systems.System
	// Tables go to out; what goes on, and what the children complain of, to log.
	out, log io.Writer
}

// scale is how long things take and how much there is of them.
type scale struct {
	pace      pace
	workloads []workload
	values    []string // of codec; all if there are none
	growths   []growing
	weights   weights
	rudes     []rude
}

// pace is how long things take.
type pace struct {
	rounds      int
	warm, round time.Duration
	codec       time.Duration
}

var (
	quickPace = pace{rounds: 3, warm: 60 * time.Millisecond, round: 250 * time.Millisecond, codec: 25 * time.Millisecond}
	fullPace  = pace{rounds: 7, warm: 200 * time.Millisecond, round: time.Second, codec: 100 * time.Millisecond}
)

func scaleOf(o options) scale {
	s := scale{pace: fullPace, workloads: workloads, growths: growths, weights: fullWeights, rudes: rudes}
	if o.quick {
		s.pace, s.weights = quickPace, quickWeights
	}
	if o.rounds > 0 {
		s.pace.rounds = o.rounds
	}
	return s
}

// run measures and publishes.
func (c comparison) run(ctx context.Context) error {
	r := &report.Report{Mode: "full", Host: report.CurrentHost()}
	measure := c.speed
	switch {
	case c.options.memory:
		r.Mode, measure = "memory", c.weighAll
	case c.options.backpressure:
		r.Mode, measure = "backpressure", c.besideAll
	case c.options.growth:
		r.Mode, measure = "growth", c.growAll
	case c.options.quick:
		r.Mode = "quick"
	}
	list, err := c.chosen()
	if err != nil {
		return err
	}
	r.Rows, err = measure(ctx, list)
	if ctx.Err() != nil {
		// That its processes have ended is no fault of theirs.
		err = fmt.Errorf("interrupted: %w", ctx.Err())
	}
	if len(r.Rows) == 0 {
		return cmp.Or(err, errors.New("nothing was measured"))
	}
	// What was measured before something went wrong is worth showing.
	return errors.Join(err, c.publish(r))
}

// publish prints the tables and writes the JSON. When that goes to standard output, the tables do not.
func (c comparison) publish(r *report.Report) error {
	if c.options.json == "-" {
		r.WriteTables(c.log)
		return r.WriteJSON(c.out)
	}
	// The tables come first: they are not lost where the file cannot be written.
	r.WriteTables(c.out)
	path := c.options.json
	if path == "" {
		name := strings.NewReplacer(":", "", "-", "").Replace(r.Host.Date) + "-" + r.Mode + ".json"
		path = filepath.Join("results", name)
		if err := os.MkdirAll("results", 0o777); err != nil {
			return err
		}
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := errors.Join(r.WriteJSON(f), f.Close()); err != nil {
		return err
	}
	fmt.Fprintln(c.out, "\nwritten to", path)
	return nil
}

// chosen are the systems that the command line asks for.
func (c comparison) chosen() ([]systems.System, error) {
	only, with := names(c.options.only), names(c.options.with)
	all := len(only) == 0
	var list []systems.System
	for _, s := range c.known {
		if only[s.Name] || with[s.Name] || all && !s.Optional {
			list = append(list, s)
		}
		delete(only, s.Name)
		delete(with, s.Name)
	}
	for name := range only {
		return nil, fmt.Errorf("there is no system %q", name)
	}
	for name := range with {
		return nil, fmt.Errorf("there is no system %q", name)
	}
	return list, nil
}

func names(list string) map[string]bool {
	set := map[string]bool{}
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name != "" {
			set[name] = true
		}
	}
	return set
}

// startAll starts the systems. One that cannot be had, such as Twisted where it is not installed, is left out with a word.
func (c comparison) startAll(ctx context.Context, list []systems.System) (pairs []*child.Pair, end func()) {
	var more []string
	if c.options.profile != "" {
		more = []string{"-profile", c.options.profile}
	}
	for _, s := range list {
		pair, err := child.StartPair(ctx, c.log, s, more...)
		switch {
		case err == nil:
			pairs = append(pairs, pair)
		case ctx.Err() == nil:
			fmt.Fprintln(c.log, "compare: left out:", err)
		}
	}
	return pairs, func() {
		for _, pair := range pairs {
			if err := pair.End(); err != nil && ctx.Err() == nil {
				fmt.Fprintln(c.log, "compare:", err)
			}
		}
	}
}
