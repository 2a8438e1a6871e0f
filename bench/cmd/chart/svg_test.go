package main

import (
	"encoding/xml"
	"testing"

	"github.com/perspectivebroker/pb/bench/internal/report"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// svg contains the parts of a chart that the tests check.
type svg struct {
	Height int `xml:"height,attr"`
	Texts  []struct {
		Class string `xml:"class,attr"`
		X     int    `xml:"x,attr"`
		Y     int    `xml:"y,attr"`
		Text  string `xml:",chardata"`
	} `xml:"text"`
	Bars []struct {
		Class string `xml:"class,attr"`
		X     int    `xml:"x,attr"`
		Y     int    `xml:"y,attr"`
		Width int    `xml:"width,attr"`
	} `xml:"rect"`
}

func drawSVG(t *testing.T, r *report.Report) (p svg) {
	t.Helper()
	require.NoError(t, xml.Unmarshal(draw(r), &p))
	for _, text := range p.Texts {
		assert.Less(t, text.Y, p.Height, "%s is outside the chart", text.Text)
	}
	return p
}

func (p svg) texts(class string) (list []string) {
	for _, text := range p.Texts {
		if text.Class == class {
			list = append(list, text.Text)
		}
	}
	return list
}

// The best system comes first in each panel; it has the shortest bar if lower is better.
func TestPanels(t *testing.T) {
	p := drawSVG(t, &report.Report{Rows: []report.Row{
		{Name: "slow", Workload: "serial", P50: 60},
		{Name: "ours", Workload: "serial", P50: 15},
		{Name: "slow", Workload: "pipelined", Rate: 1000},
		{Name: "ours-reflected", Workload: "pipelined", Rate: 1234567},
		{Name: "failed", Workload: "pipelined", Failed: "did not start"},
		{Name: "ours", Workload: "codec-encode-small", NsPerOp: 10},
	}})
	assert.Equal(t, []string{
		"one caller: median latency, shorter is better", "256 callers on one connection: calls/s",
	}, p.texts("title"), "a workload that was not measured has no panel")
	assert.Equal(t, []string{"ours", "slow", "ours-reflected", "slow"}, p.texts("label"))
	assert.Equal(t, []string{"15.0 µs", "60.0 µs", "1,234,567 /s", "1,000 /s"}, p.texts(""))
	require.Len(t, p.Bars, 4)
	assert.Equal(t, []string{"bar ours", "bar", "bar ours", "bar"},
		[]string{p.Bars[0].Class, p.Bars[1].Class, p.Bars[2].Class, p.Bars[3].Class})
	for i, want := range []int{(barEnd - barStart) / 4, barEnd - barStart, barEnd - barStart, 1} {
		assert.Equal(t, want, p.Bars[i].Width, "bars are proportional and at least one pixel long")
		assert.Equal(t, barStart, p.Bars[i].X)
	}
	for i := range p.Bars[1:] {
		assert.Greater(t, p.Bars[i+1].Y, p.Bars[i].Y)
	}
}

func TestFooter(t *testing.T) {
	host := report.Host{
		Date: "2026-11-22", Cores: 4, CPU: "a <b> & c", OS: "linux/amd64", Go: "go1.26", Load: "0.1", Commit: "abc",
		Versions: map[string]string{"grpc": "v1", "connect": "v2"},
	}
	assert.Equal(t, []string{
		"2026-11-22 · 4 × a <b> & c · linux/amd64 · go1.26 · load before 0.1",
		"commit abc · connect v2, grpc v1",
		"Each system as a pair of processes on loopback, rounds interleaved; medians.",
	}, drawSVG(t, &report.Report{Host: host}).texts("small"))
	host.Modified = true
	footer := drawSVG(t, &report.Report{Host: host}).texts("small")
	assert.Contains(t, footer, "commit abc with changes · connect v2, grpc v1")
}

func TestGrouped(t *testing.T) {
	for want, v := range map[string]float64{
		"1.5": 1.5, "99.9": 99.9, "100": 100, "1,000": 1000, "12,345,678": 12345678,
	} {
		assert.Equal(t, want, grouped(v))
	}
}
