package report

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// Report is the result of one run of the comparison.
type Report struct {
	// Mode is "full", "quick", "memory", "growth", "backpressure" or "cluster".
	Mode string `json:"mode"`
	Host Host   `json:"host"`
	// Burners is the number of processes that kept the processors busy.
	Burners int `json:"burners,omitempty"`
	// Delay is the delay of the link between client and server, in each direction, in microseconds.
	Delay int64 `json:"delay_us,omitempty"`
	Rows  []Row `json:"rows"`
}

// Row is the result of one system under one workload. Each figure is the median of the rounds, or zero if it was not
// measured.
type Row struct {
	Name     string `json:"name"`
	Workload string `json:"workload"`
	// N is the size of a workload that comes in several sizes: connections, exports, or bytes of payload.
	N int `json:"n,omitempty"`
	// Failed says why there are no figures: the system has failed.
	Failed string `json:"failed,omitempty"`

	// Rate is in calls per second; for codecs, in values per second.
	Rate float64 `json:"rate,omitempty"`
	// P50 and P99 are latencies in microseconds.
	P50 float64 `json:"p50_us,omitempty"`
	P99 float64 `json:"p99_us,omitempty"`
	// Worst is the longest of a few latencies, of which P50 is the median.
	Worst float64 `json:"worst_us,omitempty"`
	// MBs is in 10^6 bytes of payload per second. The payload of an echo counts once.
	MBs float64 `json:"mb_s,omitempty"`
	// CPU is the user and system time of client and server together, in microseconds per call.
	CPU float64 `json:"cpu_us_per_call,omitempty"`
	// Rates are the rates of the rounds, in order.
	Rates []float64 `json:"rates,omitempty"`

	// P50VsAlone is P50 divided by the P50 of the same calls on an otherwise idle server, for backpressure.
	P50VsAlone float64 `json:"p50_to_alone,omitempty"`

	// For codecs.
	NsPerOp float64  `json:"ns_per_op,omitempty"`
	Allocs  *float64 `json:"allocs_per_op,omitempty"`

	// For memory, per item. Bytes is Heap plus Stack; RSS is measured by the kernel.
	Bytes      float64 `json:"bytes,omitempty"`
	Heap       float64 `json:"heap_bytes,omitempty"`
	Stack      float64 `json:"stack_bytes,omitempty"`
	RSS        float64 `json:"rss_bytes,omitempty"`
	Goroutines float64 `json:"goroutines,omitempty"`
}

// Find returns the first row of a system under a workload.
func (r *Report) Find(name, workload string) (Row, bool) {
	i := slices.IndexFunc(r.Rows, func(row Row) bool { return row.Name == name && row.Workload == workload })
	if i < 0 {
		return Row{}, false
	}
	return r.Rows[i], true
}

// FailedRow returns the row of a system that has failed under a workload.
func FailedRow(name, workload string, n int, err error) Row {
	reason, _, more := strings.Cut(err.Error(), "\n")
	if more {
		reason += " …"
	}
	return Row{Name: name, Workload: workload, N: n, Failed: reason}
}

// WriteJSON writes the report as indented JSON.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(r)
}

// Read reads a report from a JSON file.
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

// Median returns the median of values, or 0 if there are none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
