package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/perspectivebroker/pb/broker/inspect"
)

// Limits of what a reader of the status pages may do.
const (
	pageHeader = 16 << 10
	pageTime   = 10 * time.Second
)

// serveStatus serves the status pages, if an address is configured, until the returned function is called.
func (w *worker) serveStatus() (stop func(), err error) {
	if w.inspect == "" {
		return func() {}, nil
	}
	l, err := net.Listen("tcp", w.inspect)
	if err != nil {
		return nil, usageError{fmt.Errorf("-inspect: %w", err)}
	}
	server := &http.Server{
		Handler:     sameHost(l.Addr(), w.pages()),
		ReadTimeout: pageTime, WriteTimeout: pageTime, IdleTimeout: pageTime, MaxHeaderBytes: pageHeader,
	}
	w.log.Info().Str("address", l.Addr().String()).Msg("serving the status pages")
	w.rt.Go("the status pages", func() { _ = server.Serve(l) }) // ends with Close
	return func() { _ = server.Close() }, nil
}

// pages are the status pages. They show no arguments of commands and no environment.
func (w *worker) pages() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(out http.ResponseWriter, _ *http.Request) {
		out.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.snapshot().text(out)
	})
	mux.HandleFunc("GET /status", func(out http.ResponseWriter, _ *http.Request) {
		out.Header().Set("Content-Type", "application/json")
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		_ = encoder.Encode(w.snapshot()) // the reader has left
	})
	mux.HandleFunc("GET /metrics", func(out http.ResponseWriter, _ *http.Request) {
		out.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		w.snapshot().metrics(out)
	})
	mux.HandleFunc("GET /healthz", func(out http.ResponseWriter, r *http.Request) {
		if !w.isWorking(r.Context(), pageTime/2) {
			http.Error(out, "the worker's actors do not answer", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(out, "ok")
	})
	mux.HandleFunc("GET /readyz", func(out http.ResponseWriter, _ *http.Request) {
		if now := w.snapshot(); now.Attached == nil {
			http.Error(out, "not attached: "+now.LastError, http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(out, "attached")
	})
	mux.Handle("GET /connections/", inspect.Handler(w.rt))
	return mux
}

// sameHost answers requests to a loopback address only if their Host is an address or localhost: a web page in a
// browser of this machine can send requests there, under its own site's name.
func sameHost(address net.Addr, next http.Handler) http.Handler {
	if tcp, ok := address.(*net.TCPAddr); !ok || !tcp.IP.IsLoopback() {
		return next
	}
	return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if host != "localhost" && net.ParseIP(strings.Trim(host, "[]")) == nil {
			http.Error(out, "write localhost, or the address", http.StatusForbidden)
			return
		}
		next.ServeHTTP(out, r)
	})
}

func (w *worker) snapshot() snapshot {
	now := w.status.snapshot()
	now.Name, now.Basedir = clean(w.name), clean(w.basedir)
	return now
}

// text writes the status for people.
func (s snapshot) text(out io.Writer) {
	ago := func(t time.Time) string {
		return fmt.Sprintf("%s (%s)", t.Format(time.DateTime), time.Since(t).Round(time.Second))
	}
	fmt.Fprintf(out, "worker       %s, version %s, in %s\n", s.Name, s.Version, s.Basedir)
	fmt.Fprintf(out, "started      %s ago\n", ago(s.Began))
	if s.Attached != nil {
		fmt.Fprintf(out, "attached     to %s since %s\n", s.Master, ago(*s.Attached))
	} else {
		fmt.Fprintf(out, "not attached to %s; %d failures in a row\n", s.Master, s.Failures)
	}
	if s.Retry != nil {
		fmt.Fprintf(out, "next attempt %s\n", s.Retry.Format(time.DateTime))
	}
	if s.LastErrorAt != nil {
		fmt.Fprintf(out, "last error   %s ago: %s\n", ago(*s.LastErrorAt), s.LastError)
	}
	fmt.Fprintf(out, "sessions     %d\n\nbuilds begun\n", s.Attachments)
	for _, name := range slices.Sorted(maps.Keys(s.Builds)) {
		fmt.Fprintf(out, "  %-30s %d\n", name, s.Builds[name])
	}
	fmt.Fprintf(out, "\ncommands running\n")
	for _, c := range s.Running {
		fmt.Fprintf(out, "  %-30s %s %s since %s\n", c.Builder, c.Command, c.ID, ago(c.Since))
	}
	fmt.Fprintf(out, "\ncommands ended\n")
	for _, of := range s.outcomes() {
		fmt.Fprintf(out, "  %-30s %s %d\n", of.command, of.outcome, s.ended[of])
	}
}

func (s snapshot) outcomes() []outcomeOf {
	return slices.SortedFunc(maps.Keys(s.ended), func(a, b outcomeOf) int {
		return cmp.Or(cmp.Compare(a.command, b.command), cmp.Compare(a.outcome, b.outcome))
	})
}

// metrics writes the status in the text format of Prometheus. The format is simple, and the client library would take
// the binary beyond its size.
func (s snapshot) metrics(out io.Writer) {
	metric := func(name, kind, help string) {
		fmt.Fprintf(out, "# HELP buildbot_worker_%s %s\n# TYPE buildbot_worker_%s %s\n", name, help, name, kind)
	}
	value := func(name string, v float64, labels ...string) {
		fmt.Fprintf(out, "buildbot_worker_%s%s %s\n", name, labelsOf(labels), strconv.FormatFloat(v, 'g', -1, 64))
	}
	simple := func(name, kind, help string, v float64) {
		metric(name, kind, help)
		value(name, v)
	}
	metric("info", "gauge", "The worker.")
	value("info", 1, "name", s.Name, "version", s.Version)
	attached, since := 0.0, 0.0
	if s.Attached != nil {
		attached, since = 1, unixSeconds(*s.Attached)
	}
	simple("attached", "gauge", "1 while the worker is attached to its master.", attached)
	simple("attached_since_seconds", "gauge", "Unix time of the session's beginning; 0 without one.", since)
	simple("start_time_seconds", "gauge", "Unix time of the worker's start.", unixSeconds(s.Began))
	simple("sessions_total", "counter", "Sessions with the master.", float64(s.Attachments))
	simple("failures", "gauge", "Failed attempts to attach in a row.", float64(s.Failures))
	simple("commands_running", "gauge", "Commands under way.", float64(len(s.Running)))
	metric("commands_total", "counter", "Commands that ended: done, failed, interrupted, or lost with the connection.")
	for _, of := range s.outcomes() {
		value("commands_total", float64(s.ended[of]), "command", of.command, "outcome", of.outcome)
	}
	metric("builds_total", "counter", "Builds that the master began.")
	for _, name := range slices.Sorted(maps.Keys(s.Builds)) {
		value("builds_total", float64(s.Builds[name]), "builder", name)
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	simple("heap_bytes", "gauge", "The heap.", float64(memory.HeapAlloc))
	simple("goroutines", "gauge", "Goroutines.", float64(runtime.NumGoroutine()))
}

func unixSeconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

var labelEscapes = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

// labelsOf writes names and values alternately.
func labelsOf(pairs []string) string {
	if len(pairs) == 0 {
		return ""
	}
	var b strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		b.WriteString(map[bool]string{true: "{", false: ","}[i == 0])
		fmt.Fprintf(&b, `%s="%s"`, pairs[i], labelEscapes.Replace(clean(pairs[i+1])))
	}
	return b.String() + "}"
}
