package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"testing"

	"github.com/perspectivebroker/pb/bench/internal/report"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheChartIsWellFormedAndOrdered(t *testing.T) {
	svg := draw(&report.Report{
		Host: report.Host{CPU: "a <b> & c", Versions: map[string]string{"grpc": "v1"}},
		Rows: []report.Row{
			{Name: "slow", Workload: "pipelined", Rate: 1000},
			{Name: "ours", Workload: "pipelined", Rate: 1234567},
		},
	})
	for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
	}
	text := string(svg)
	assert.Contains(t, text, "1,234,567 /s")
	assert.Less(t, bytes.Index(svg, []byte("ours")), bytes.Index(svg, []byte("slow")))
	assert.NotContains(t, text, "latency", "a workload that was not measured has no panel")
}

func TestNumbersForPeople(t *testing.T) {
	for want, v := range map[string]float64{"1.5": 1.5, "99.9": 99.9, "100": 100, "1,000": 1000, "12,345,678": 12345678} {
		assert.Equal(t, want, grouped(v))
	}
}
