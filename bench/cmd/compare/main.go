// Compare measures Perspective Broker for Go beside other systems. Every system gets a server and a client process of its own, on
// loopback, and their rounds are interleaved, so that what else goes on in the machine meets all of them: read the ratios.
//
//	go -C bench run ./cmd/compare -quick             within a minute
//	go -C bench run ./cmd/compare                    in five
//	go -C bench run ./cmd/compare -with connect,nats with the optional ones
//	go -C bench run ./cmd/compare -memory            what connections, objects and calls weigh
//	go -C bench run ./cmd/compare -growth            calls a second as connections, exports and payloads grow
//	go -C bench run ./cmd/compare -backpressure      what calls take beside peers that flood, stall and read nothing
//
// It prints tables, and writes what it measured as JSON: by default into results/, under the date.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"syscall"

	"github.com/perspectivebroker/pb/bench/internal/child"
	"github.com/perspectivebroker/pb/bench/internal/report"
	"github.com/perspectivebroker/pb/bench/internal/systems"
)

// options are the command line.
type options struct {
	quick, memory, growth bool
	backpressure          bool
	json                  string
	only, with            string
	workloads             string
	rounds                int
	profile               string

	// Of children.
	role, system, addr string
}

func main() {
	var o options
	flag.BoolVar(&o.quick, "quick", false, "short rounds: done within 60 s")
	flag.BoolVar(&o.memory, "memory", false, "measure memory instead of speed")
	flag.BoolVar(&o.growth, "growth", false, "measure calls/s as connections, exports and payloads grow")
	flag.BoolVar(&o.backpressure, "backpressure", false, "measure what calls take beside peers that take no regard")
	flag.StringVar(&o.json, "json", "", "write the JSON to this `file`, - for standard output (default a file in results/)")
	flag.StringVar(&o.only, "only", "", "measure only these `systems`, separated by commas")
	flag.StringVar(&o.with, "with", "", "measure these optional `systems` too: connect, nats")
	flag.StringVar(&o.workloads, "workloads", "", "only these `workloads`: serial, pipelined, multi, bulk, fanout, codec")
	flag.IntVar(&o.rounds, "rounds", 0, "how many rounds (default 7, quick 3)")
	flag.StringVar(&o.profile, "profile", "", "have the Go processes write CPU profiles into this `directory`, outside of the tree")
	flag.StringVar(&o.role, "role", "", "for the program's own use: be a server or a client")
	flag.StringVar(&o.system, "system", "", "for the program's own use: of which system")
	flag.StringVar(&o.addr, "addr", "", "for the program's own use: where the server is")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	if o.role != "" {
		return play(o)
	}
	// Children get the signal too and end; this lets us end behind them.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	host := report.ThisHost()
	r := &report.Report{Mode: "full", Host: host}
	var err error
	switch {
	case o.memory:
		r.Mode = "memory"
		r.Rows, err = memory(ctx, o)
	case o.backpressure:
		r.Mode = "backpressure"
		r.Rows, err = backpressure(ctx, o)
	case o.growth:
		r.Mode = "growth"
		r.Rows, err = growth(ctx, o)
	default:
		if o.quick {
			r.Mode = "quick"
		}
		r.Rows, err = speed(ctx, o)
	}
	// What was measured before something went wrong is worth showing.
	if len(r.Rows) > 0 {
		err = errors.Join(err, publish(r, o.json))
	}
	return err
}

// play is the life of a child.
func play(o options) error {
	s, ok := systems.ByName(o.system)
	if !ok {
		return fmt.Errorf("there is no system %q", o.system)
	}
	stop, err := startProfile(o)
	if err != nil {
		return err
	}
	if o.role == child.RoleServer {
		err = child.Serve(s, os.Stdin, os.Stdout)
	} else {
		err = child.Call(s, o.addr, os.Stdin, os.Stdout)
	}
	return errors.Join(err, stop())
}

// startProfile has a child write a profile of its whole life, if that was asked for.
func startProfile(o options) (stop func() error, err error) {
	if o.profile == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(filepath.Join(o.profile, o.system+"-"+o.role+".pprof"))
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}

// publish prints the tables and writes the JSON. When that goes to standard output, the tables do not.
func publish(r *report.Report, path string) error {
	tables, out := io.Writer(os.Stdout), io.Writer(os.Stdout)
	switch path {
	case "-":
		tables = os.Stderr
	default:
		if path == "" {
			name := strings.NewReplacer(":", "", "-", "").Replace(r.Host.Date) + "-" + r.Mode + ".json"
			path = filepath.Join("results", name)
			if err := os.MkdirAll("results", 0o777); err != nil {
				return err
			}
		}
		f, err := os.Create(path)
		if err != nil {
			return err
		}
		defer f.Close()
		out = f
	}
	r.WriteTables(tables)
	if err := r.WriteJSON(out); err != nil {
		return err
	}
	if path != "-" {
		fmt.Fprintln(tables, "\nwritten to", path)
	}
	return nil
}

// chosen are the systems that the command line asks for.
func chosen(o options) ([]systems.System, error) {
	only, with := names(o.only), names(o.with)
	all := len(only) == 0
	var list []systems.System
	for _, s := range systems.All() {
		if only[s.Name] || with[s.Name] || all && !s.Optional {
			list = append(list, s)
		}
		delete(only, s.Name)
		delete(with, s.Name)
	}
	for name := range only {
		return nil, fmt.Errorf("there is no system %q", name)
	}
	for name := range with {
		return nil, fmt.Errorf("there is no system %q", name)
	}
	return list, nil
}

func names(list string) map[string]bool {
	set := map[string]bool{}
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name != "" {
			set[name] = true
		}
	}
	return set
}

// startAll starts the systems. One that cannot be had, such as Twisted where it is not installed, is left out with a word.
func startAll(ctx context.Context, o options, list []systems.System) (pairs []*child.Pair, end func()) {
	var more []string
	if o.profile != "" {
		more = []string{"-profile", o.profile}
	}
	for _, s := range list {
		pair, err := child.StartPair(ctx, os.Stderr, s, more...)
		if err != nil {
			fmt.Fprintln(os.Stderr, "compare: left out:", err)
			continue
		}
		pairs = append(pairs, pair)
	}
	return pairs, func() {
		for _, pair := range pairs {
			if err := pair.End(); err != nil && ctx.Err() == nil {
				fmt.Fprintln(os.Stderr, "compare:", err)
			}
		}
	}
}
