package report

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
)

// Report is one run of the comparison.
type Report struct {
	// Mode is "full", "quick", "memory", "growth" or "backpressure".
	Mode string `json:"mode"`
	Host Host   `json:"host"`
	Rows []Row  `json:"rows"`
}

// Row is what one system showed under one workload. Every number is the median of the rounds; what was not measured is missing.
type Row struct {
	Name     string `json:"name"`
	Workload string `json:"workload"`
	// N is how much of it there was, where a workload grows: connections, exports, bytes of payload.
	N int `json:"n,omitempty"`
	// Note says why there are no numbers.
	Note string `json:"note,omitempty"`

	// Rate is in calls a second, of codec in values a second.
	Rate float64 `json:"rate,omitempty"`
	P50  float64 `json:"p50_us,omitempty"`
	P99  float64 `json:"p99_us,omitempty"`
	// MBs is payload, counted once, in millions of bytes a second; an echo carries it twice.
	MBs float64 `json:"mb_s,omitempty"`
	// CPU is what client and server have spent together, user and kernel, by call.
	CPU float64 `json:"cpu_us_per_call,omitempty"`
	// Rates are those of the single rounds, in order.
	Rates []float64 `json:"rates,omitempty"`

	// ToAlone is how many times P50 is that of the same calls with nobody else there, of backpressure.
	ToAlone float64 `json:"p50_to_alone,omitempty"`

	// Of codec.
	NsPerOp float64  `json:"ns_per_op,omitempty"`
	Allocs  *float64 `json:"allocs_per_op,omitempty"`

	// Of memory, a piece: heap and stacks together, and what the kernel says.
	Bytes      float64 `json:"bytes,omitempty"`
	Heap       float64 `json:"heap_bytes,omitempty"`
	Stack      float64 `json:"stack_bytes,omitempty"`
	RSS        float64 `json:"rss_bytes,omitempty"`
	Goroutines float64 `json:"goroutines,omitempty"`
}

// Find is the row of a system under a workload, of any N.
func (r *Report) Find(name, workload string) (Row, bool) {
	i := slices.IndexFunc(r.Rows, func(row Row) bool { return row.Name == name && row.Workload == workload })
	if i < 0 {
		return Row{}, false
	}
	return r.Rows[i], true
}

// WriteJSON writes the report.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(r)
}

// Read reads a report from a file.
func Read(path string) (*Report, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := &Report{}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// Median is the middle of the values, 0 if there are none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
