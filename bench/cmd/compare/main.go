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
	"syscall"

	"github.com/perspectivebroker/pb/bench/internal/child"
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

func main() { os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run is the program: the one that is started by hand, or one of those that it starts. It returns its exit status. What several
// processes write at once goes to log.
func run(ctx context.Context, args []string, in io.Reader, out, log io.Writer) int {
	o, err := parse(args, log)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2 // The flags have said it.
	case o.role != "":
		err = play(o, in, out)
	default:
		// Children get the signal too and end; this lets us end behind them.
		ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
		defer stop()
		c := comparison{options: o, scale: scaleOf(o), known: systems.All(), out: out, log: log}
		err = c.run(ctx)
	}
	if err != nil {
		fmt.Fprintln(log, "compare:", err)
		return 1
	}
	return 0
}

func parse(args []string, log io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("compare", flag.ContinueOnError)
	flags.SetOutput(log)
	flags.BoolVar(&o.quick, "quick", false, "short rounds: done within 60 s")
	flags.BoolVar(&o.memory, "memory", false, "measure memory instead of speed")
	flags.BoolVar(&o.growth, "growth", false, "measure calls/s as connections, exports and payloads grow")
	flags.BoolVar(&o.backpressure, "backpressure", false, "measure what calls take beside peers that take no regard")
	flags.StringVar(&o.json, "json", "", "write the JSON to this `file`, - for standard output (default a file in results/)")
	flags.StringVar(&o.only, "only", "", "measure only these `systems`, separated by commas")
	flags.StringVar(&o.with, "with", "", "measure these optional `systems` too: connect, nats")
	flags.StringVar(&o.workloads, "workloads", "", "only these `workloads`: serial, pipelined, multi, bulk, fanout, codec")
	flags.IntVar(&o.rounds, "rounds", 0, "how many rounds (default 7, quick 3)")
	flags.StringVar(&o.profile, "profile", "", "have the Go processes write CPU profiles into this `directory`, outside of the tree")
	flags.StringVar(&o.role, "role", "", "for the program's own use: be a server or a client")
	flags.StringVar(&o.system, "system", "", "for the program's own use: of which system")
	flags.StringVar(&o.addr, "addr", "", "for the program's own use: where the server is")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if err := o.check(flags.Args()); err != nil {
		fmt.Fprintln(log, "compare:", err)
		return o, err
	}
	return o, nil
}

// check finds what would only turn out, or not at all, after minutes of measuring something else.
func (o options) check(rest []string) error {
	if len(rest) > 0 {
		return fmt.Errorf("there is nothing to be done with %q: everything is said with flags", rest[0])
	}
	modes := 0
	for _, mode := range []bool{o.memory, o.growth, o.backpressure} {
		if mode {
			modes++
		}
	}
	if modes > 1 {
		return errors.New("-memory, -growth and -backpressure are runs of their own: give one of them")
	}
	if o.rounds < 0 {
		return fmt.Errorf("%d rounds cannot be measured", o.rounds)
	}
	wanted := names(o.workloads)
	for _, w := range workloads {
		delete(wanted, w.name)
	}
	delete(wanted, codec)
	for name := range wanted {
		return fmt.Errorf("there is no workload %q", name)
	}
	return nil
}

// play is the life of a child.
func play(o options, in io.Reader, out io.Writer) error {
	if o.role != child.RoleServer && o.role != child.RoleClient {
		return fmt.Errorf("there is no role %q", o.role)
	}
	s, ok := systems.ByName(o.system)
	if !ok {
		return fmt.Errorf("there is no system %q", o.system)
	}
	stop, err := startProfile(o)
	if err != nil {
		return err
	}
	if o.role == child.RoleServer {
		err = child.RunServer(s, in, out)
	} else {
		err = child.RunClient(s, o.addr, in, out)
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
