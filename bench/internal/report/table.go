package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// WriteTables prints a table for each workload, with the speedup of this module over each other system, and a table of
// the targets.
func (r *Report) WriteTables(w io.Writer) {
	h := r.Host
	fmt.Fprintf(w, "%s · %d × %s · %s · load %s\n", h.Date, h.Cores, h.CPU, h.Go, h.Load)
	if r.Burners > 0 {
		fmt.Fprintf(w, "burners that kept the processors busy: %d\n", r.Burners)
	}
	if r.Delay > 0 {
		fmt.Fprintf(w, "over a link that delays each byte by %v µs\n", r.Delay)
	}
	var order []string
	byWorkload := map[string][]Row{}
	for _, row := range r.Rows {
		if _, ok := byWorkload[row.Workload]; !ok {
			order = append(order, row.Workload)
		}
		byWorkload[row.Workload] = append(byWorkload[row.Workload], row)
	}
	for _, workload := range order {
		writeTable(w, workload, byWorkload[workload])
	}
	if verdicts := r.Verdicts(); len(verdicts) > 0 {
		writeVerdicts(w, verdicts)
	}
}

// column is a column of a table. It is omitted if it is empty in all rows.
type column struct {
	head string
	cell func(Row) string
}

var columns = []column{
	{"n", func(r Row) string { return number(float64(r.N), 0) }},
	{"calls/s", func(r Row) string { return number(r.Rate, 0) }},
	{"p50 µs", func(r Row) string { return number(r.P50, 1) }},
	{"p99 µs", func(r Row) string { return number(r.P99, 1) }},
	{"worst µs", func(r Row) string { return number(r.Worst, 0) }},
	{"vs alone", func(r Row) string { return number(r.P50VsAlone, 2) }},
	{"MB/s", func(r Row) string { return number(r.MBs, 0) }},
	{"CPU µs", func(r Row) string { return number(r.CPU, 2) }},
	{"ns/op", func(r Row) string { return number(r.NsPerOp, 0) }},
	{"allocs", func(r Row) string {
		if n, ok := allocs(r); ok {
			return fmt.Sprintf("%.0f", n)
		}
		return ""
	}},
	{"bytes", func(r Row) string { return number(r.Bytes, 0) }},
	{"heap", func(r Row) string { return number(r.Heap, 0) }},
	{"stack", func(r Row) string { return number(r.Stack, 0) }},
	{"RSS", func(r Row) string { return number(r.RSS, 0) }},
	{"goroutines", func(r Row) string { return number(r.Goroutines, 2) }},
}

func number(v float64, digits int) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf("%.*f", digits, v)
}

func writeTable(w io.Writer, workload string, rows []Row) {
	fmt.Fprintf(w, "\n%s\n", workload)
	measured := slices.DeleteFunc(slices.Clone(rows), func(r Row) bool { return r.Failed != "" })
	if len(measured) > 0 {
		writeFigures(w, workload, measured)
	}
	for _, row := range rows {
		if row.Failed != "" {
			fmt.Fprintf(w, "  %s failed: %s\n", strings.TrimSpace(row.Name+" "+number(float64(row.N), 0)), row.Failed)
		}
	}
}

// writeFigures writes the rows of systems that did not fail.
func writeFigures(w io.Writer, workload string, rows []Row) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	shown := shownColumns(rows)
	heads := []string{"", "system"}
	for _, c := range shown {
		heads = append(heads, c.head)
	}
	ours, compared := rows[0], comparedMetric(workload)
	compare := ours.Name == "ours" && ours.N == 0 && ours.Bytes == 0 && len(rows) > 1
	if compare {
		heads = append(heads, "speedup of ours ("+compared.name+")")
	}
	fmt.Fprintln(t, strings.Join(heads, "\t")+"\t")
	for _, row := range rows {
		cells := []string{"", row.Name}
		for _, c := range shown {
			cells = append(cells, c.cell(row))
		}
		if compare {
			cells = append(cells, fmt.Sprintf("%.2f x", speedup(compared, ours, row)))
		}
		fmt.Fprintln(t, strings.Join(cells, "\t")+"\t")
	}
	_ = t.Flush()
}

func shownColumns(rows []Row) (shown []column) {
	for _, c := range columns {
		for _, row := range rows {
			if c.cell(row) != "" {
				shown = append(shown, c)
				break
			}
		}
	}
	return shown
}

// comparedMetric returns the metric by which the systems are compared under a workload.
func comparedMetric(workload string) metric {
	switch {
	case workload == "serial", workload == "cluster-serial", strings.HasPrefix(workload, "backpressure"):
		return p50
	case strings.HasPrefix(workload, "codec"):
		return perOp
	}
	return rate
}

func writeVerdicts(w io.Writer, verdicts []Verdict) {
	fmt.Fprintln(w, "\ntargets")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, v := range verdicts {
		met := "MISSED"
		if v.Met {
			met = "met"
		}
		fmt.Fprintf(t, "  %s\t%s\ttarget %s\t%s\n", v.Name, v.Got, v.Want, met)
	}
	_ = t.Flush()
}
