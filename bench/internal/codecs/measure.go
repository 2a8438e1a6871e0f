package codecs

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"

	"github.com/perspectivebroker/pb/bench/internal/report"
)

// Measure runs every codec on every value, or on those that are named, each for the given time in each round, with the rounds interleaved.
// Stock Twisted is left out, with a word to log, where it cannot be had.
func Measure(ctx context.Context, log io.Writer, rounds int, each time.Duration, only ...string) ([]report.Row, error) {
	list := values()
	if len(only) > 0 {
		list = slices.DeleteFunc(list, func(v value) bool { return !slices.Contains(only, v.name) })
	}
	return measureAll(ctx, log, stockCommand(), list, rounds, each)
}

func measureAll(ctx context.Context, log io.Writer, command []string, list []value, rounds int, each time.Duration) ([]report.Row, error) {
	stock, err := startTwisted(log, command)
	if err != nil {
		fmt.Fprintln(log, "codec: left out:", err)
	} else {
		defer func() { _ = stock.end() }() // What went wrong in it has been an answer that did not come.
	}
	var rows []report.Row
	for _, v := range list {
		all, err := inProcess(v)
		if err != nil {
			return rows, err
		}
		if stock != nil {
			s, err := stock.subject(v)
			if err != nil {
				return rows, err
			}
			all = append(all, s)
		}
		for _, step := range []string{stepEncode, stepDecode} {
			measured, err := measure(ctx, all, step, rounds, each)
			if err != nil {
				return rows, fmt.Errorf("%s of %s: %w", step, v.name, err)
			}
			for i, s := range all {
				row := measured[i]
				row.Name, row.Workload = s.name, "codec-"+step+"-"+v.name
				rows = append(rows, row)
			}
		}
	}
	return rows, nil
}

func measure(ctx context.Context, all []subject, step string, rounds int, each time.Duration) ([]report.Row, error) {
	times, allocs := make([][]float64, len(all)), make([][]float64, len(all))
	for round := range rounds {
		for i := range all {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			// Each round begins with another, so that none is always the one after the garbage of a certain other.
			i = (i + round) % len(all)
			ns, n, err := all[i].measure(step, each)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", all[i].name, err)
			}
			times[i], allocs[i] = append(times[i], ns), append(allocs[i], n)
		}
	}
	rows := make([]report.Row, len(all))
	for i := range all {
		ns, n := report.Median(times[i]), report.Median(allocs[i])
		rows[i] = report.Row{NsPerOp: ns, Rate: 1e9 / ns}
		if all[i].timed == nil {
			rows[i].Allocs = &n
		}
	}
	return rows, nil
}

func (s subject) measure(step string, each time.Duration) (ns, allocs float64, err error) {
	if s.timed != nil {
		ns, err = s.timed(step, each)
		return ns, 0, err
	}
	return repeat(s.step(step), each)
}

// repeat runs f for about the given time and says what one run took, and how many allocations it made, in whole numbers.
func repeat(f func() error, each time.Duration) (ns, allocs float64, err error) {
	// What it takes is found by running it a tenth of the time, which also warms it up.
	n := 0
	for start := time.Now(); n == 0 || time.Since(start) < each/10; n++ {
		if err := f(); err != nil {
			return 0, 0, err
		}
	}
	n *= 10
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	for range n {
		if err := f(); err != nil {
			return 0, 0, err
		}
	}
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	return float64(took) / float64(n), float64((after.Mallocs - before.Mallocs) / uint64(n)), nil
}
