package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/perspectivebroker/pb/cmd/pb/internal/peer"
	"github.com/perspectivebroker/pb/cmd/pb/internal/value"
	"github.com/perspectivebroker/pb/codec/jelly"
	"golang.org/x/term"
)

var loadCommand = command{
	name: "load", usage: "[flags] URL METHOD [ARG…]",
	summary: "makes many calls and measures them",
	detail: `It prints the calls per second, errors by type, and how long the calls took. With -rate a call's time begins
when it was due, so that a peer that stalls is measured for the calls it delays. -timeout is for connecting, and for
the calls under way at the end. The status is 1 if any call failed.`,
	prepare: prepareLoad,
}

func prepareLoad(f *flags) func(context.Context, *env, []string) error {
	p := f.peer()
	l := &load{}
	f.set.IntVar(&l.conns, "c", 1, "use `N` connections")
	f.set.IntVar(&l.calls, "k", 1, "keep `N` calls under way on each connection")
	f.set.Int64Var(&l.total, "n", 0, "make `N` calls")
	f.set.DurationVar(&l.duration, "d", 0, "make calls for a `DURATION`; 10s without -n")
	f.set.Float64Var(&l.rate, "rate", 0, "make `N` calls a second in all; 0 for as many as possible")
	asJSON := f.set.Bool("json", false, "print the results as JSON; times are in microseconds")
	return func(ctx context.Context, e *env, args []string) error {
		d, method, call, err := p.callOf(e, args)
		switch {
		case err != nil:
			return err
		case l.conns < 1 || l.calls < 1 || l.total < 0 || l.duration < 0 || l.rate < 0:
			return usage("-c and -k are at least 1; -n, -d and -rate are not negative")
		case l.conns > 10_000 || l.calls > 60_000:
			return usage("-c is at most 10000 and -k at most 60000")
		}
		if l.total == 0 && l.duration == 0 {
			l.duration = 10 * time.Second
		}
		l.method, l.args, l.patience = method, call, *p.timeout
		if l.patience <= 0 {
			l.patience = time.Hour
		}
		sessions, err := l.open(ctx, p, d)
		defer func() {
			for _, s := range sessions {
				s.conn.Close()
			}
		}()
		if err != nil {
			return err
		}
		l.run(ctx, e, sessions)
		if err := l.report(e, *asJSON); err != nil {
			return err
		}
		switch {
		case errors.Is(context.Cause(ctx), errInterrupted):
			return quietError{statusInterrupted}
		case len(l.errors) > 0:
			return quietError{statusFailed}
		}
		return nil
	}
}

// load is a run of many calls.
type load struct {
	conns, calls int
	total        int64
	duration     time.Duration
	rate         float64
	patience     time.Duration
	method       string
	args         peer.Args

	mu     sync.Mutex
	begun  int64
	times  *hdrhistogram.Histogram // nanoseconds
	errors map[string]int64
	took   time.Duration
}

// The bounds of the histogram, in nanoseconds, and its significant digits.
const (
	minTime = int64(100)
	maxTime = int64(time.Hour)
	digits  = 3
)

// open opens the connections, some at a time.
func (l *load) open(ctx context.Context, p *peerFlags, d *dialer) ([]*session, error) {
	ctx, cancel := p.timed(ctx)
	defer cancel()
	sessions := make([]*session, 0, l.conns)
	for range l.conns {
		s, err := d.open(ctx)
		if err != nil {
			return sessions, err
		}
		sessions = append(sessions, s)
	}
	return sessions, nil
}

func (l *load) run(ctx context.Context, e *env, sessions []*session) {
	l.times = hdrhistogram.New(minTime, maxTime, digits)
	l.errors = map[string]int64{}
	begin := time.Now()
	issuing, cancel := context.WithCancel(ctx)
	defer cancel()
	if l.duration > 0 {
		issuing, cancel = context.WithTimeout(issuing, l.duration)
		defer cancel()
	}
	stopProgress := l.progress(e, begin)
	// Calls under way when the time is over are waited for.
	waiting, giveUp := context.WithCancelCause(context.WithoutCancel(ctx))
	defer giveUp(nil)
	defer context.AfterFunc(issuing, func() {
		patience := l.patience
		if errors.Is(context.Cause(ctx), errInterrupted) {
			patience = 0
		}
		time.AfterFunc(patience, func() { giveUp(errTime) })
	})()
	var workers sync.WaitGroup
	for _, s := range sessions {
		for range l.calls {
			workers.Go(func() { l.work(issuing, waiting, s, begin) })
		}
	}
	workers.Wait()
	l.took = time.Since(begin)
	stopProgress()
}

// work makes one call after the other.
func (l *load) work(issuing, waiting context.Context, s *session, begin time.Time) {
	for issuing.Err() == nil {
		n, ok := l.begin()
		if !ok {
			return
		}
		due := time.Now()
		if l.rate > 0 {
			due = begin.Add(time.Duration(float64(n) / l.rate * float64(time.Second)))
			if !sleepUntil(issuing, due) {
				return
			}
		}
		calling, cancel := context.WithTimeoutCause(waiting, l.patience, errTime)
		a := s.conn.Call(calling, s.object, l.method, l.args)
		cancel()
		if a.Err != nil && waiting.Err() != nil && issuing.Err() != nil && errors.Is(a.Err, context.Canceled) {
			return
		}
		l.done(time.Since(due), a.Err)
		if a.Err == nil {
			a.Err = s.conn.Release(a.Mentions)
		}
		if s.conn.Err() != nil {
			return // A lost connection is not opened again.
		}
	}
}

// begin takes the number of the next call.
func (l *load) begin() (int64, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.total > 0 && l.begun == l.total {
		return 0, false
	}
	l.begun++
	return l.begun - 1, true
}

func sleepUntil(ctx context.Context, t time.Time) bool {
	d := time.Until(t)
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (l *load) done(took time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.times.RecordValue(min(max(took.Nanoseconds(), minTime), maxTime)) // It is within the bounds.
	if err != nil {
		kind := errorType(err)
		if _, ok := l.errors[kind]; !ok && len(l.errors) >= 100 {
			kind = "others"
		}
		l.errors[kind]++
	}
}

func errorType(err error) string {
	var failure *peer.Failure
	var lost *peer.LostError
	switch {
	case errors.As(err, &failure):
		return failure.Type
	case errors.As(err, &lost):
		return "connection lost"
	case errors.Is(err, errTime):
		return "timeout"
	}
	return err.Error()
}

// progress shows on a terminal how far the run is, and returns a function that ends it.
func (l *load) progress(e *env, begin time.Time) (stop func()) {
	file, ok := e.stderr.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) || e.getenv("NO_COLOR") != "" {
		return func() {}
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(200 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				l.mu.Lock()
				n := l.times.TotalCount()
				l.mu.Unlock()
				fmt.Fprintf(file, "\r%d calls, %.1f s ", n, time.Since(begin).Seconds())
			case <-done:
				fmt.Fprint(file, "\r\x1b[K")
				return
			}
		}
	}()
	return func() { close(done); <-ended }
}

// quantiles are the columns of the report.
var quantiles = []struct {
	name string
	at   float64
}{{"p50", 50}, {"p90", 90}, {"p99", 99}, {"p99.9", 99.9}, {"max", 100}}

func (l *load) report(e *env, asJSON bool) error {
	calls := l.times.TotalCount()
	rate := float64(calls) / max(l.took.Seconds(), 1e-9)
	if asJSON {
		failed := jelly.NewDict()
		for _, kind := range slices.Sorted(maps.Keys(l.errors)) {
			failed.Set(kind, l.errors[kind])
		}
		out := jelly.NewDict(
			jelly.Entry{Key: "calls", Value: calls}, jelly.Entry{Key: "seconds", Value: l.took.Seconds()},
			jelly.Entry{Key: "rate", Value: rate}, jelly.Entry{Key: "errors", Value: failed},
		)
		for _, q := range quantiles {
			out.Set(q.name, l.quantile(q.at))
		}
		text, err := value.JSON(out)
		if err == nil {
			e.line(text)
		}
		return err
	}
	e.line(fmt.Sprintf("%d calls in %.2f s: %.0f calls/s", calls, l.took.Seconds(), rate))
	for _, kind := range slices.Sorted(maps.Keys(l.errors)) {
		e.line(fmt.Sprintf("%d failed: %s", l.errors[kind], value.Lines(kind)))
	}
	if calls == 0 {
		return nil
	}
	var names, times strings.Builder
	for _, q := range quantiles {
		fmt.Fprintf(&names, "%10s", q.name)
		fmt.Fprintf(&times, "%10s", shortTime(time.Duration(l.quantile(q.at)*1000)))
	}
	e.line("\nlatency" + names.String() + "\n       " + times.String() + "\n")
	l.histogram(e)
	return nil
}

// quantile returns a quantile in microseconds.
func (l *load) quantile(at float64) float64 {
	if l.times.TotalCount() == 0 {
		return 0
	}
	return float64(l.times.ValueAtQuantile(at)) / 1000
}

func shortTime(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < 10*time.Second:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(100 * time.Millisecond).String()
}

// histogram prints how many calls took up to each power of two of microseconds.
func (l *load) histogram(e *env) {
	counts := map[int]int64{}
	lowest, highest := 64, 0
	var most int64
	for _, bar := range l.times.Distribution() {
		if bar.Count == 0 {
			continue
		}
		k := 0
		for limit := int64(1000); limit < bar.To; limit *= 2 {
			k++
		}
		counts[k] += bar.Count
		lowest, highest, most = min(lowest, k), max(highest, k), max(most, counts[k])
	}
	for k := lowest; k <= highest; k++ {
		bar := strings.Repeat("#", int((counts[k]*50+most-1)/most))
		e.line(strings.TrimRight(fmt.Sprintf("≤ %10s %9d  %s", shortTime(time.Microsecond<<k), counts[k], bar), " "))
	}
}
