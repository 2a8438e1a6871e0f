package main

import (
	"bytes"
	"fmt"
	"html"
	"slices"
	"sort"
	"strings"

	"github.com/perspectivebroker/pb/bench/internal/report"
)

// panel is a group of bars: one metric of one workload.
type panel struct {
	workload      string
	title         string
	value         func(report.Row) float64
	unit          string
	lowerIsBetter bool
}

var panels = []panel{
	{"serial", "one caller: median latency, shorter is better", p50, "µs", true},
	{"pipelined", "256 callers on one connection: calls/s", rate, "/s", false},
	{"multi", "64 connections of 8 callers: calls/s", rate, "/s", false},
	{"pipelined", "256 callers: CPU per call, both ends, shorter is better", cpu, "µs", true},
	{"bulk", "512 KiB echoed, one caller: MB/s", mbs, "MB/s", false},
	{"fanout", "one Cacheable, 1,000 observers: updates/s", rate, "/s", false},
}

func p50(r report.Row) float64  { return r.P50 }
func rate(r report.Row) float64 { return r.Rate }
func cpu(r report.Row) float64  { return r.CPU }
func mbs(r report.Row) float64  { return r.MBs }

// The dimensions of the chart in pixels.
const (
	width     = 760
	labelEnd  = 130
	barStart  = 140
	barEnd    = 620
	barHeight = 16
	barStep   = 22
	titleStep = 34
	margin    = 16
)

// draw returns the chart as SVG. Its colours are readable on light and dark backgrounds.
func draw(r *report.Report) []byte {
	var body bytes.Buffer
	y := margin
	for _, p := range panels {
		y = p.draw(&body, r, y)
	}
	y += margin
	for _, line := range footer(r.Host) {
		fmt.Fprintf(&body, `<text x="%d" y="%d" class="small">%s</text>`+"\n", margin, y, html.EscapeString(line))
		y += 16
	}
	var svg bytes.Buffer
	const head = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">`
	fmt.Fprintf(&svg, head+"\n", width, y, width, y)
	svg.WriteString(`<title>Perspective Broker for Go compared with other systems</title>
<style>
text { font: 13px sans-serif; fill: #777 }
.title { font-weight: bold }
.small { font-size: 11px }
.label { text-anchor: end }
.bar { fill: #9aa7b5 }
.ours { fill: #2f7ed8 }
</style>
`)
	svg.Write(body.Bytes())
	svg.WriteString("</svg>\n")
	return svg.Bytes()
}

// drawable reports whether the report has figures for at least one bar.
func drawable(r *report.Report) bool {
	return slices.ContainsFunc(panels, func(p panel) bool { return len(p.rows(r)) > 0 })
}

// rows returns the rows that have a bar in the panel.
func (p panel) rows(r *report.Report) (rows []report.Row) {
	for _, row := range r.Rows {
		if row.Workload == p.workload && p.value(row) > 0 {
			rows = append(rows, row)
		}
	}
	return rows
}

func (p panel) draw(w *bytes.Buffer, r *report.Report, y int) int {
	rows := p.rows(r)
	if len(rows) == 0 {
		return y
	}
	maximum := 0.0
	for _, row := range rows {
		maximum = max(maximum, p.value(row))
	}
	sort.SliceStable(rows, func(i, j int) bool { return (p.value(rows[i]) > p.value(rows[j])) != p.lowerIsBetter })
	fmt.Fprintf(w, `<text x="%d" y="%d" class="title">%s</text>`+"\n", margin, y+14, html.EscapeString(p.title))
	y += titleStep
	for _, row := range rows {
		class := "bar"
		if strings.HasPrefix(row.Name, "ours") {
			class += " ours"
		}
		length := max(1, int(float64(barEnd-barStart)*p.value(row)/maximum))
		fmt.Fprintf(w, `<text x="%d" y="%d" class="label">%s</text>`, labelEnd, y, html.EscapeString(row.Name))
		fmt.Fprintf(w, `<rect x="%d" y="%d" width="%d" height="%d" class="%s"/>`,
			barStart, y-barHeight+4, length, barHeight, class)
		fmt.Fprintf(w, `<text x="%d" y="%d">%s %s</text>`+"\n", barStart+length+6, y, grouped(p.value(row)), p.unit)
		y += barStep
	}
	return y + margin
}

// grouped formats v with thousands separators, and with one decimal if it is below 100.
func grouped(v float64) string {
	if v < 100 {
		return fmt.Sprintf("%.1f", v)
	}
	digits := fmt.Sprintf("%.0f", v)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

func footer(h report.Host) []string {
	var versions []string
	for name, version := range h.Versions {
		versions = append(versions, name+" "+version)
	}
	sort.Strings(versions)
	commit := h.Commit
	if h.Modified {
		commit += " with changes"
	}
	return []string{
		fmt.Sprintf("%s · %d × %s · %s · %s · load before %s", h.Date, h.Cores, h.CPU, h.OS, h.Go, h.Load),
		"commit " + commit + " · " + strings.Join(versions, ", "),
		"Each system as a pair of processes on loopback, rounds interleaved; medians.",
	}
}
