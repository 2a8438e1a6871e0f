package webs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/perspectivebroker/pb/bench/internal/load"
	"github.com/perspectivebroker/pb/bench/internal/report"
)

// The workloads: requests for a short page by many clients, and a long response that one client reads.
const (
	Requests = "web"
	Stream   = "web-stream"
)

// Clients is the number of concurrent clients of the workload Requests. Each keeps its connection.
const Clients = 64

// Plan is how long to measure.
type Plan struct {
	Rounds        int
	WarmUp, Round time.Duration
	// Args are more arguments for the Go processes.
	Args []string
}

// Measure measures all sites in interleaved rounds. It logs and skips a site that does not start, such as one with
// stock Twisted where that is not installed.
func Measure(ctx context.Context, log io.Writer, p Plan) (rows []report.Row, err error) {
	var running, streaming []*series
	for _, s := range sites {
		started, err := start(ctx, log, s.name, s.roles, p.Args)
		if err != nil {
			fmt.Fprintln(log, "compare: skipped:", err)
			continue
		}
		defer func() { err = errors.Join(err, started.end()) }()
		running = append(running, &series{site: started})
		if s.streams {
			streaming = append(streaming, &series{site: started})
		}
	}
	for _, w := range []workload{{Requests, Clients, getPage, 0}, {Stream, 1, getBig, Big}} {
		list := running
		if w.name == Stream {
			list = streaming
		}
		for round := range p.Rounds {
			fmt.Fprintf(log, "\r%s, round %d of %d ", w.name, round+1, p.Rounds)
			for i := range list {
				// Each round starts with another site, so that no site always follows the same one.
				s := list[(i+round)%len(list)]
				if err := s.round(ctx, w, p); err != nil {
					return rows, fmt.Errorf("%s: %w", s.site.name, err)
				}
			}
		}
		fmt.Fprintln(log)
		for _, s := range list {
			rows = append(rows, s.row(w))
		}
	}
	return rows, nil
}

// workload is what the clients do.
type workload struct {
	name    string
	clients int
	get     func(ctx context.Context, c *http.Client, url string) error
	bytes   int // of one response, if its speed counts
}

// series is the results of the rounds of one site.
type series struct {
	site                *site
	rate, p50, p99, cpu []float64
}

// round warms the site up and then measures it.
func (s *series) round(ctx context.Context, w workload, p Plan) error {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: w.clients}}
	defer client.CloseIdleConnections()
	callers := make([]load.Call, w.clients)
	for i := range callers {
		callers[i] = func(ctx context.Context, _ int) error { return w.get(ctx, client, s.site.url) }
	}
	if _, err := load.Run(ctx, callers, p.WarmUp); err != nil {
		return err
	}
	before, err := s.site.cpu()
	if err != nil {
		return err
	}
	r, err := load.Run(ctx, callers, p.Round)
	if err != nil {
		return err
	}
	after, err := s.site.cpu()
	if err != nil {
		return err
	}
	micros := func(q float64) float64 { return float64(r.Latencies.Quantile(q)) / 1e3 }
	s.rate = append(s.rate, r.Rate())
	s.p50, s.p99 = append(s.p50, micros(0.5)), append(s.p99, micros(0.99))
	s.cpu = append(s.cpu, (after-before)/float64(r.Calls))
	return nil
}

func (s *series) row(w workload) report.Row {
	row := report.Row{
		Name: s.site.name, Workload: w.name, Rates: s.rate,
		Rate: report.Median(s.rate), P50: report.Median(s.p50), P99: report.Median(s.p99), CPU: report.Median(s.cpu),
	}
	row.MBs = row.Rate * float64(w.bytes) / 1e6
	return row
}

// getPage gets the page and compares it.
func getPage(ctx context.Context, c *http.Client, url string) error {
	return get(ctx, c, url+"/page.html", func(body io.Reader) error {
		page, err := io.ReadAll(body)
		if err == nil && string(page) != Page {
			err = fmt.Errorf("wrong page: %q", page)
		}
		return err
	})
}

// getBig gets the long response and counts its bytes.
func getBig(ctx context.Context, c *http.Client, url string) error {
	return get(ctx, c, url+"/big", func(body io.Reader) error {
		n, err := io.Copy(io.Discard, body)
		if err == nil && n != Big {
			err = fmt.Errorf("wrong length: %d bytes, not %d", n, Big)
		}
		return err
	})
}

func get(ctx context.Context, c *http.Client, url string, read func(io.Reader) error) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := c.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := read(resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return nil
}
