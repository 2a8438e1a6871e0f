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
	options   options
	scale     scale
	available []systems.System
	// out receives the tables; log receives the progress and the standard error of the children.
	out, log io.Writer
}

// scale is the duration and size of the measurements.
type scale struct {
	schedule     schedule
	workloads    []workload
	values       []string // values of the codec workload; all if empty
	growthTests  []growthTest
	memoryCounts memoryCounts
	attackers    []attacker
	cluster      clusterScale
}

// schedule is the number and the duration of the rounds.
type schedule struct {
	rounds int
	warmUp time.Duration // before each round
	round  time.Duration
	codec  time.Duration // for each codec and step in a round
}

var (
	quickSchedule = schedule{
		rounds: 3, warmUp: 60 * time.Millisecond, round: 250 * time.Millisecond, codec: 25 * time.Millisecond,
	}
	fullSchedule = schedule{
		rounds: 7, warmUp: 200 * time.Millisecond, round: time.Second, codec: 100 * time.Millisecond,
	}
)

func scaleOf(o options) scale {
	s := scale{
		schedule: fullSchedule, workloads: workloads, growthTests: growthTests, memoryCounts: fullCounts,
		attackers: attackers, cluster: fullCluster,
	}
	if o.quick {
		s.schedule, s.memoryCounts, s.cluster = quickSchedule, quickCounts, quickCluster
	}
	if o.rounds > 0 {
		s.schedule.rounds = o.rounds
	}
	return s
}

// run measures and publishes the results.
func (c comparison) run(ctx context.Context) error {
	r := &report.Report{Mode: "full", Host: report.CurrentHost()}
	measure := c.measureSpeed
	switch {
	case c.options.memory:
		r.Mode, measure = "memory", c.measureMemory
	case c.options.backpressure:
		r.Mode, measure = "backpressure", c.measureBackpressure
	case c.options.cluster:
		r.Mode, measure = "cluster", c.measureCluster
	case c.options.growth:
		r.Mode, measure = "growth", c.measureGrowth
	case c.options.quick:
		r.Mode = "quick"
	}
	list, err := c.selected()
	if err != nil {
		return err
	}
	r.Burners, r.Delay = c.options.burners, c.options.delay.Microseconds()
	stopBurners, err := child.StartBurners(ctx, c.options.burners)
	if err != nil {
		return err
	}
	r.Rows, err = measure(ctx, list)
	if e := stopBurners(); e != nil && ctx.Err() == nil {
		fmt.Fprintln(c.log, "compare:", e)
	}
	if ctx.Err() != nil {
		// Errors of the child processes are only a consequence of the interrupt.
		err = fmt.Errorf("interrupted: %w", ctx.Err())
	}
	if len(r.Rows) == 0 {
		return cmp.Or(err, errors.New("nothing was measured"))
	}
	// Publish what was measured before an error.
	return errors.Join(err, failures(r), c.publish(r))
}

// failures returns an error if one of our systems has failed. Those of others are only reported: they may not be able
// to carry every load.
func failures(r *report.Report) (err error) {
	for _, row := range r.Rows {
		if s, ok := systems.ByName(row.Name); ok && s.IsOurs() && row.Failed != "" {
			err = errors.Join(err, fmt.Errorf("%s failed under %s: %s", row.Name, row.Workload, row.Failed))
		}
	}
	return err
}

// publish prints the tables and writes the JSON. If the JSON goes to standard output, the tables go to the log.
func (c comparison) publish(r *report.Report) error {
	if c.options.json == "-" {
		r.WriteTables(c.log)
		return r.WriteJSON(c.out)
	}
	// Print the tables first, in case the file cannot be written.
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

// selected returns the systems that the options select.
func (c comparison) selected() ([]systems.System, error) {
	only, with := names(c.options.only), names(c.options.with)
	all := len(only) == 0
	var list []systems.System
	for _, s := range c.available {
		if only[s.Name] || with[s.Name] || all && !s.Optional {
			list = append(list, s)
		}
		delete(only, s.Name)
		delete(with, s.Name)
	}
	for name := range only {
		return nil, fmt.Errorf("unknown system %q", name)
	}
	for name := range with {
		return nil, fmt.Errorf("unknown system %q", name)
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

// childArgs returns the arguments that every Go process gets.
func (c comparison) childArgs() []string {
	if c.options.profile == "" {
		return nil
	}
	return []string{"-profile", c.options.profile}
}
