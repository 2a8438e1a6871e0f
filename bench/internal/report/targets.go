package report

import "fmt"

// metric is a figure of a row.
type metric struct {
	name          string
	of            func(Row) float64
	lowerIsBetter bool
}

var (
	rate  = metric{name: "calls/s", of: func(r Row) float64 { return r.Rate }}
	p50   = metric{name: "p50", of: func(r Row) float64 { return r.P50 }, lowerIsBetter: true}
	perOp = metric{name: "ns/op", of: func(r Row) float64 { return r.NsPerOp }, lowerIsBetter: true}
)

// target is the minimum speedup of one of our systems over another. It is below 1 if ours may be slower.
type target struct {
	workload string
	ours     string
	peer     string
	metric   metric
	speedup  float64
}

// busyBurners is the number of burners of the busy targets.
const busyBurners = 2

// busyTargets are the targets with two burners. The other targets are for an idle machine.
var busyTargets = []target{
	{"serial", "ours", "rawtcp", p50, 1 / 1.7},
}

// targets are the targets of docs/performance.md.
var targets = []target{
	{"serial", "ours", "rawtcp-polled", p50, 1 / 1.4},
	{"serial", "ours-unpolled", "netrpc", p50, 1},
	{"serial8", "ours", "netrpc", rate, 1.1},
	{"wide", "ours", "netrpc", rate, 1.05},
	{"wide", "ours", "grpc", rate, 2},
	{"pipelined", "ours", "netrpc", rate, 7},
	{"pipelined", "ours", "grpc", rate, 11},
	{"pipelined", "ours", "protoactor", rate, 3.5},
	{"pipelined", "ours", "nats", rate, 4.4},
	{"multi", "ours", "netrpc", rate, 3},
	{"multi", "ours", "grpc", rate, 6.5},
	{"bulk", "ours-lent", "rawtcp", rate, 0.65},
	{"bulk", "ours-lent", "netrpc", rate, 3},
	{"bulk", "ours-lent", "grpc", rate, 3},
	{"bulk16", "ours-lent", "netrpc", rate, 2},
	{"bulk16", "ours-lent", "grpc", rate, 1.5},
	{"structs", "ours-reflected", "netrpc", rate, 1.5},
	{"structs", "ours-reflected", "grpc", rate, 2.5},
	{"fanout", "ours", "rawtcp", rate, 0.7},
	{"codec-encode-ints", "ours-typed", "gob", perOp, 1.3},
	{"codec-decode-ints", "ours-typed", "gob", perOp, 1.3},
	{"codec-encode-small", "ours", "json", perOp, 3},
	{"codec-decode-small", "ours", "json", perOp, 3},
	{"cluster-serial", "relayed-clear", "ours", p50, 1 / 4.0},
	{"cluster-serial", "relayed-mtls", "ours", p50, 1 / 8.0},
	{"cluster-pipelined", "relayed-mtls", "ours", rate, 0.5},
	// Below a stock front, the front limits the speed, and not the Go back.
	{"web", "ours-back", "twisted", rate, 1},
}

// enoughRate is how many calls a second of ours meet the target of a workload too, on two cores.
var enoughRate = map[string]float64{"fanout": 95_000}

// minimumWebRate is how many requests a second ours shall pass on from a Go front to a Go back, on two cores.
const minimumWebRate = 10_000

// limit is the maximum of a figure of this module.
type limit struct {
	workload string
	what     string
	of       func(Row) (float64, bool)
	max      float64
}

var limits = []limit{
	{"codec-encode-small", "allocations", allocs, 0},
	{"codec-encode-dict", "allocations", allocs, 0},
	{"codec-encode-ints", "allocations", allocs, 0},
	{"codec-encode-bytes", "allocations", allocs, 0},
	{"backpressure-reads-nothing", "p50 vs alone", p50VsAlone, 2},
	{"backpressure-reads-slowly", "p50 vs alone", p50VsAlone, 2},
	{"backpressure-slow-object", "p50 vs alone", p50VsAlone, 2},
	{"backpressure-stalled-collector", "p50 vs alone", p50VsAlone, 2},
	{"serial8", "p99 µs", p99Of, 500},
	{"memory-idle-connection", "bytes", bytesOf, 16 << 10},
	{"cluster-node-killed", "worst µs", worstOf, 20_000},
	{"memory-idle-link", "bytes", bytesOf, 60 << 10},
	{"memory-idle-link-accepted", "bytes", bytesOf, 60 << 10},
	{"memory-exported-object", "bytes", bytesOf, 640},
}

func allocs(r Row) (float64, bool) {
	if r.Allocs == nil {
		return 0, false
	}
	return *r.Allocs, true
}

func bytesOf(r Row) (float64, bool) { return r.Bytes, r.Bytes > 0 }

func p99Of(r Row) (float64, bool) { return r.P99, r.P99 > 0 }

func worstOf(r Row) (float64, bool) { return r.Worst, r.Worst > 0 }

func p50VsAlone(r Row) (float64, bool) { return r.P50VsAlone, r.P50VsAlone > 0 }

// Verdict is the result of checking one target.
type Verdict struct {
	Name string
	Got  string
	Want string
	Met  bool
}

// Verdicts checks the targets for which the report has figures. Over a link with delay, or with another number of
// burners than the busy targets are for, there are none.
func (r *Report) Verdicts() []Verdict {
	var (
		verdicts []Verdict
		checked  = targets
		ceilings = limits
	)
	switch {
	case r.Delay > 0 || r.Burners != 0 && r.Burners != busyBurners:
		return nil
	case r.Burners == busyBurners:
		checked, ceilings = busyTargets, nil
	}
	for _, t := range checked {
		a, okA := r.Find(t.ours, t.workload)
		b, okB := r.Find(t.peer, t.workload)
		if !okA || !okB || b.Failed != "" {
			continue
		}
		got := speedup(t.metric, a, b)
		v := Verdict{
			Name: fmt.Sprintf("%s %s, %s vs %s", t.workload, t.metric.name, t.ours, t.peer),
			Got:  fmt.Sprintf("%.2f x", got), Want: fmt.Sprintf("%.2f x", t.speedup), Met: got >= t.speedup,
		}
		if enough, ok := enoughRate[t.workload]; ok {
			v.Got += fmt.Sprintf(", %.0f", a.Rate)
			v.Want += fmt.Sprintf(" or %.0f", enough)
			v.Met = v.Met || a.Rate >= enough
		}
		verdicts = append(verdicts, v)
	}
	for _, l := range ceilings {
		row, ok := r.Find("ours", l.workload)
		if !ok {
			continue
		}
		if v, ok := l.of(row); ok {
			verdicts = append(verdicts, Verdict{
				Name: l.workload + ", " + l.what, Got: fmt.Sprintf("%.3g", v), Want: fmt.Sprintf("at most %.3g", l.max),
				Met: v <= l.max,
			})
		}
	}
	if row, ok := r.Find("ours", "web"); ok {
		verdicts = append(verdicts, Verdict{
			Name: "web, requests/s", Got: fmt.Sprintf("%.0f", row.Rate),
			Want: fmt.Sprintf("at least %d", minimumWebRate), Met: row.Rate >= minimumWebRate,
		})
	}
	return verdicts
}

// speedup returns how many times better a is than b, or 0 if a figure is missing.
func speedup(m metric, a, b Row) float64 {
	x, y := m.of(a), m.of(b)
	if m.lowerIsBetter {
		x, y = y, x
	}
	if y == 0 {
		return 0
	}
	return x / y
}
