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

// Measure measures every codec on every value, or only on the named values. In each of the interleaved rounds, each
// codec runs for the duration each. If stock Twisted cannot be started, Measure says so on log and skips it.
func Measure(ctx context.Context, log io.Writer, rounds int, each time.Duration, only ...string) ([]report.Row, error) {
	list := values()
	if len(only) > 0 {
		list = slices.DeleteFunc(list, func(v value) bool { return !slices.Contains(only, v.name) })
	}
	return measureAll(ctx, log, stockCommand(), list, rounds, each)
}

// measureAll is Measure with the values and the command that runs Twisted as arguments, for tests.
func measureAll(
	ctx context.Context, log io.Writer, command []string, list []value, rounds int, each time.Duration,
) ([]report.Row, error) {
	stock, err := startTwisted(log, command)
	if err != nil {
		fmt.Fprintln(log, "codec: skipped:", err)
	} else {
		defer func() { _ = stock.end() }() // A failure of the process has already been reported as a missing answer.
	}
	var rows []report.Row
	for _, v := range list {
		tasks, err := inProcess(v)
		if err != nil {
			return rows, err
		}
		if stock != nil {
			s, err := stock.task(v)
			if err != nil {
				return rows, err
			}
			tasks = append(tasks, s)
		}
		for _, step := range []string{stepEncode, stepDecode} {
			measured, err := measure(ctx, tasks, step, rounds, each)
			if err != nil {
				return rows, fmt.Errorf("%s of %s: %w", step, v.name, err)
			}
			for i, s := range tasks {
				row := measured[i]
				row.Name, row.Workload = s.name, "codec-"+step+"-"+v.name
				rows = append(rows, row)
			}
		}
	}
	return rows, nil
}

func measure(ctx context.Context, tasks []task, step string, rounds int, each time.Duration) ([]report.Row, error) {
	times, allocs := make([][]float64, len(tasks)), make([][]float64, len(tasks))
	for round := range rounds {
		for i := range tasks {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			// Each round starts with another task, so that no task always runs with the garbage of the same
			// predecessor.
			i = (i + round) % len(tasks)
			ns, n, err := tasks[i].measure(step, each)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", tasks[i].name, err)
			}
			times[i], allocs[i] = append(times[i], ns), append(allocs[i], n)
		}
	}
	rows := make([]report.Row, len(tasks))
	for i := range tasks {
		ns, n := report.Median(times[i]), report.Median(allocs[i])
		rows[i] = report.Row{NsPerOp: ns, Rate: 1e9 / ns}
		if tasks[i].measureRemote == nil {
			rows[i].Allocs = &n
		}
	}
	return rows, nil
}

func (t task) measure(step string, each time.Duration) (ns, allocs float64, err error) {
	if t.measureRemote != nil {
		ns, err = t.measureRemote(step, each)
		return ns, 0, err
	}
	return repeat(t.step(step), each)
}

// repeat runs f for about the duration each. It returns the mean time of one run and the allocations of one run,
// rounded down.
func repeat(f func() error, each time.Duration) (ns, allocs float64, err error) {
	// Running it for a tenth of the time determines the number of runs and warms it up.
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
	elapsed := time.Since(start)
	runtime.ReadMemStats(&after)
	return float64(elapsed) / float64(n), float64((after.Mallocs - before.Mallocs) / uint64(n)), nil
}
