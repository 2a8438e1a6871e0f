package report

import "fmt"

// measure is a number of a row.
type measure struct {
	name string
	of   func(Row) float64
	// less says that less is better.
	less bool
}

var (
	rate  = measure{name: "calls/s", of: func(r Row) float64 { return r.Rate }}
	p50   = measure{name: "p50", of: func(r Row) float64 { return r.P50 }, less: true}
	perOp = measure{name: "ns/op", of: func(r Row) float64 { return r.NsPerOp }, less: true}
)

// target says how far ahead of another system one of ours is to be: by the factor, which is below 1 where it may lag behind.
type target struct {
	workload string
	ours     string
	peer     string
	measure  measure
	factor   float64
}

// targets are those of docs/performance.md.
var targets = []target{
	{"serial", "ours", "rawtcp", p50, 1 / 1.5},
	{"serial", "ours", "netrpc", p50, 1.3},
	{"serial", "ours", "grpc", p50, 3},
	{"serial", "ours", "protoactor", p50, 4},
	{"pipelined", "ours", "netrpc", rate, 6},
	{"pipelined", "ours", "grpc", rate, 17},
	{"pipelined", "ours", "protoactor", rate, 4.5},
	{"pipelined", "ours", "twisted", rate, 50},
	{"multi", "ours", "netrpc", rate, 3},
	{"multi", "ours", "grpc", rate, 8},
	{"bulk", "ours", "netrpc", rate, 2.5},
	{"bulk", "ours", "grpc", rate, 2.5},
	{"bulk", "ours", "rawtcp", rate, 0.4},
	{"serial", "ours-reflected", "ours", rate, 0.75},
	{"pipelined", "ours-reflected", "ours", rate, 0.75},
	{"multi", "ours-reflected", "ours", rate, 0.75},
	{"bulk", "ours-reflected", "ours", rate, 0.75},
	{"codec-encode-small", "ours", "json", perOp, 3},
	{"codec-decode-small", "ours", "json", perOp, 3},
	{"codec-encode-dict", "ours", "json", perOp, 3},
	{"codec-decode-dict", "ours", "json", perOp, 3},
	{"codec-encode-ints", "ours", "gob", perOp, 1},
	{"codec-decode-ints", "ours", "gob", perOp, 1},
	// 64 KiB of bytes are not among these: copying them is all there is to do, in Python too.
	{"codec-encode-small", "ours", "twisted", perOp, 30},
	{"codec-decode-small", "ours", "twisted", perOp, 30},
	{"codec-encode-dict", "ours", "twisted", perOp, 30},
	{"codec-decode-dict", "ours", "twisted", perOp, 30},
	{"codec-encode-ints", "ours", "twisted", perOp, 30},
	{"codec-decode-ints", "ours", "twisted", perOp, 30},
	{"codec-encode-graph", "ours", "twisted", perOp, 30},
	{"codec-decode-graph", "ours", "twisted", perOp, 30},
}

// limit says how large a number of ours may be.
type limit struct {
	workload string
	what     string
	of       func(Row) (float64, bool)
	most     float64
}

var limits = []limit{
	{"codec-encode-small", "allocations", allocs, 0},
	{"codec-encode-dict", "allocations", allocs, 0},
	{"codec-encode-ints", "allocations", allocs, 0},
	{"codec-encode-bytes", "allocations", allocs, 0},
	{"backpressure-reads-nothing", "p50 to alone", toAlone, 2},
	{"backpressure-reads-slowly", "p50 to alone", toAlone, 2},
	{"backpressure-slow-object", "p50 to alone", toAlone, 2},
	{"backpressure-stalled-collector", "p50 to alone", toAlone, 2},
	{"memory-idle-connection", "bytes", bytesOf, 24 << 10},
	{"memory-exported-object", "bytes", bytesOf, 640},
}

func allocs(r Row) (float64, bool) {
	if r.Allocs == nil {
		return 0, false
	}
	return *r.Allocs, true
}

func bytesOf(r Row) (float64, bool) { return r.Bytes, r.Bytes > 0 }

func toAlone(r Row) (float64, bool) { return r.ToAlone, r.ToAlone > 0 }

// Verdict is what became of one target.
type Verdict struct {
	What    string
	Reached string
	Wanted  string
	Met     bool
}

// Verdicts judges the targets whose rows are there.
func (r *Report) Verdicts() []Verdict {
	var verdicts []Verdict
	for _, t := range targets {
		a, okA := r.Find(t.ours, t.workload)
		b, okB := r.Find(t.peer, t.workload)
		if !okA || !okB {
			continue
		}
		ratio := ahead(t.measure, a, b)
		verdicts = append(verdicts, Verdict{
			What:    fmt.Sprintf("%s %s, %s to %s", t.workload, t.measure.name, t.ours, t.peer),
			Reached: fmt.Sprintf("%.2f x", ratio), Wanted: fmt.Sprintf("%.2f x", t.factor), Met: ratio >= t.factor,
		})
	}
	for _, l := range limits {
		row, ok := r.Find("ours", l.workload)
		if !ok {
			continue
		}
		if v, ok := l.of(row); ok {
			verdicts = append(verdicts, Verdict{
				What: l.workload + ", " + l.what, Reached: fmt.Sprintf("%.3g", v), Wanted: fmt.Sprintf("at most %.3g", l.most),
				Met: v <= l.most,
			})
		}
	}
	return verdicts
}

// ahead is how many times better a is than b.
func ahead(m measure, a, b Row) float64 {
	x, y := m.of(a), m.of(b)
	if m.less {
		x, y = y, x
	}
	if y == 0 {
		return 0
	}
	return x / y
}
