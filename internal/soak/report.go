package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
)

// What is taken for flat. The first sixth of the time is for warming up, and is not looked at.
const (
	growth     = 1.2     // how much more the last third may have than the first
	heapSlack  = 2 << 20 // what does not matter either way: bytes,
	otherSlack = 16      // goroutines
)

// report prints the figures and says whether everything held.
func (c *controller) report(out io.Writer) (held bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	end := c.samples[len(c.samples)-1]
	loaded := c.samples[:len(c.samples)-1]
	wrong := append(slices.Clone(c.total.Wrong), end.Wrong...)

	line := func(what string, figures any) { fmt.Fprintf(out, "| %-42s | %26v |\n", what, figures) }
	fmt.Fprintf(out, "| %-42s | %26s |\n|%s|%s|\n", "what", fmt.Sprintf("%v, seed %d", c.length, c.seed), dashes(44), dashes(28))
	line("processes of Go peers", c.peers[0])
	line("processes of stock Twisted peers", c.peers[1])
	line("of these killed in the middle", c.killed)
	line("connections accepted", end.Accepted)
	line("connections of strangers", c.garbage)
	line("calls served", end.Served)
	line("calls made by peers that could report", c.total.Calls)
	var ended int64
	for _, why := range slices.Sorted(maps.Keys(c.total.Ended)) {
		line("  "+why, c.total.Ended[why])
		ended += c.total.Ended[why]
	}
	if ended != c.total.Calls {
		wrong = append(wrong, fmt.Sprintf("of %d calls %d ended", c.total.Calls, ended))
	}
	line("logins / logouts", fmt.Sprintf("%d / %d", end.In, end.Out))
	line("observers come / left", fmt.Sprintf("%d / %d", end.Came, end.Left))

	wrong = append(wrong, c.flat(line, "heap after collection, KiB", loaded, end, heapSlack, func(s sample) float64 { return float64(s.Heap) }, 1<<10)...)
	wrong = append(wrong, c.flat(line, "goroutines", loaded, end, otherSlack, func(s sample) float64 { return float64(s.Goroutines) }, 1)...)
	wrong = append(wrong, c.flat(line, "actors", loaded, end, 4*otherSlack, func(s sample) float64 { return float64(s.Actors) }, 1)...)
	_ = c.flatLine(line, "resident memory, KiB", loaded, end, func(s sample) float64 { return float64(s.Resident) }, 1<<10)
	line("goroutines left after Close", end.Remaining)

	if end.Served == 0 || c.total.Ended[answered] == 0 || end.In == 0 || end.Came == 0 {
		wrong = append(wrong, "some of the load did not come about")
	}
	for _, w := range wrong {
		fmt.Fprintln(out, "WRONG:", w)
	}
	verdict := "it held"
	if len(wrong) > 0 {
		verdict = "IT DID NOT HOLD"
	}
	line("verdict", verdict)
	return len(wrong) == 0
}

func dashes(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = '-'
	}
	return string(b)
}

// flat prints a figure and says if its last third was higher than its first.
func (c *controller) flat(line func(string, any), what string, loaded []sample, end sample, slack float64, of func(sample) float64, unit float64) (wrong []string) {
	thirds := c.flatLine(line, what, loaded, end, of, unit)
	first, last := thirds[0], thirds[1]
	if last > growth*first+slack {
		wrong = append(wrong, fmt.Sprintf("%s: %.0f in the first third, %.0f in the last", what, first/unit, last/unit))
	}
	return wrong
}

// flatLine prints a figure: the medians of the first and last thirds, the highest, and the one after all have left.
func (c *controller) flatLine(line func(string, any), what string, loaded []sample, end sample, of func(sample) float64, unit float64) [2]float64 {
	thirds := c.thirds(loaded, of)
	peak := 0.0
	for _, s := range loaded {
		peak = max(peak, of(s))
	}
	line(what+": first, last third", fmt.Sprintf("%.0f, %.0f", thirds[0]/unit, thirds[1]/unit))
	line("  highest, when all had left", fmt.Sprintf("%.0f, %.0f", peak/unit, of(end)/unit))
	return thirds
}

// thirds are the medians of the first and of the last third of what came after warming up.
func (*controller) thirds(loaded []sample, of func(sample) float64) [2]float64 {
	warm := loaded[len(loaded)/6:]
	third := max(1, len(warm)/3)
	if len(warm) == 0 {
		return [2]float64{}
	}
	median := func(part []sample) float64 {
		figures := make([]float64, len(part))
		for i, s := range part {
			figures[i] = of(s)
		}
		slices.Sort(figures)
		return figures[len(figures)/2]
	}
	return [2]float64{median(warm[:third]), median(warm[len(warm)-third:])}
}
