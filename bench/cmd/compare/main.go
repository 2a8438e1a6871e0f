// Command compare measures Perspective Broker for Go against other systems. Each system has a server process and a
// client process, connected over loopback. The rounds of the systems are interleaved, so that other load on the machine
// affects all of them: compare ratios, not absolute figures.
//
//	go -C bench run ./cmd/compare -quick              # less than a minute
//	go -C bench run ./cmd/compare                     # about five minutes
//	go -C bench run ./cmd/compare -with connect,nats  # with the optional systems
//	go -C bench run ./cmd/compare -burners 2          # on a busy machine
//	go -C bench run ./cmd/compare -delay 1ms          # over a link with delay
//	go -C bench run ./cmd/compare -memory             # memory per connection, object and call
//	go -C bench run ./cmd/compare -workloads web      # HTTP over Perspective Broker; only on request
//	go -C bench run ./cmd/compare -growth             # calls/s with more connections, exports and larger payloads
//	go -C bench run ./cmd/compare -backpressure       # latency while other peers flood, stall or do not read
//	go -C bench run ./cmd/compare -cluster            # calls through a gateway to another node; needs etcd
//
// It prints tables and writes its results as JSON, by default to a file in results/ that is named after the date.
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
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/perspectivebroker/pb/bench/internal/child"
	"github.com/perspectivebroker/pb/bench/internal/clusters"
	"github.com/perspectivebroker/pb/bench/internal/systems"
	"github.com/perspectivebroker/pb/bench/internal/webs"
)

// options are the command line.
type options struct {
	quick, memory, growth bool
	backpressure, cluster bool
	json                  string
	only, with            string
	workloads             string
	rounds                int
	burners               int
	delay                 time.Duration
	profile               string

	// Set by the program itself for its child processes.
	role, system, addr, nodes string
}

func main() { os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run is main without the process. It runs the comparison, or a child process of it, and returns the exit status. log
// receives concurrent writes of several processes.
func run(ctx context.Context, args []string, in io.Reader, out, log io.Writer) int {
	o, err := parse(args, log)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2 // parse has printed the error.
	case o.role != "":
		err = runChild(o, in, out)
	default:
		// The children get the signal too. Catching it here lets this process outlive them.
		ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
		defer stop()
		c := comparison{options: o, scale: scaleOf(o), available: systems.All(), out: out, log: log}
		if o.cluster {
			c.available = systems.Clustered()
		}
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
	flags.BoolVar(&o.quick, "quick", false, "use short rounds: less than a minute")
	flags.BoolVar(&o.memory, "memory", false, "measure memory instead of speed")
	flags.BoolVar(&o.growth, "growth", false, "measure calls/s with more connections, exports and larger payloads")
	flags.BoolVar(&o.backpressure, "backpressure", false, "measure latency while other peers overload the server")
	flags.BoolVar(&o.cluster, "cluster", false, "measure calls through a gateway to another node of a cluster")
	flags.StringVar(&o.json, "json", "",
		"write the JSON to this `file`, - for standard output (default a file in results/)")
	flags.StringVar(&o.only, "only", "", "measure only these comma-separated `systems`")
	flags.StringVar(&o.with, "with", "", "also measure these optional `systems`: ours-unpolled, connect, nats, "+
		"grpc-tuned, rpcx, drpc")
	flags.StringVar(&o.workloads, "workloads", "",
		"measure only these `workloads`: serial, pipelined, multi, serial8, wide, bulk, bulk16, structs, fanout, codec, "+
			"or web, which is measured only if it is named; with -cluster cluster-serial, cluster-pipelined, cluster-multi, "+
			"cluster-node-killed, memory-idle-link")
	flags.IntVar(&o.rounds, "rounds", 0, "number of rounds (default 7, with -quick 3)")
	flags.IntVar(&o.burners, "burners", 0, "run this `number` of processes beside it that keep the processors busy")
	flags.DurationVar(&o.delay, "delay", 0,
		"let each byte of a call arrive this much later, by a relay; not with -backpressure and -cluster")
	flags.StringVar(&o.profile, "profile", "", "write CPU profiles of the Go processes to this `directory`")
	flags.StringVar(&o.role, "role", "", "internal: run as a server, a client or a burner")
	flags.StringVar(&o.system, "system", "", "internal: the system of the server or client")
	flags.StringVar(&o.addr, "addr", "", "internal: the address of the server")
	flags.StringVar(&o.nodes, "nodes", "", "internal: the nodes of a cluster that the process is")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if err := o.check(flags.Args()); err != nil {
		fmt.Fprintln(log, "compare:", err)
		return o, err
	}
	return o, nil
}

// check reports invalid options before anything is measured.
func (o options) check(rest []string) error {
	if len(rest) > 0 {
		return fmt.Errorf("unexpected argument %q: want only flags", rest[0])
	}
	modes := 0
	for _, mode := range []bool{o.memory, o.growth, o.backpressure, o.cluster} {
		if mode {
			modes++
		}
	}
	if modes > 1 {
		return errors.New("-memory, -growth, -backpressure and -cluster exclude each other")
	}
	switch {
	case o.rounds < 0:
		return fmt.Errorf("invalid number of rounds %d", o.rounds)
	case o.burners < 0:
		return fmt.Errorf("invalid number of burners %d", o.burners)
	case o.delay < 0 || o.delay > 0 && (o.backpressure || o.cluster):
		return fmt.Errorf("invalid delay %v: must not be negative, and -backpressure and -cluster have none", o.delay)
	}
	wanted := names(o.workloads)
	if o.cluster {
		return checkNames(wanted, clusterWorkloads, nodeKilled, idleLink)
	}
	if wanted[webs.Requests] && (o.only != "" || o.delay != 0) {
		return errors.New("-only and -delay do not apply to the workload web, which has pairs of fronts and backs")
	}
	return checkNames(wanted, workloads, codec, webs.Requests)
}

// checkNames reports a wanted workload that is neither one of the workloads nor named otherwise.
func checkNames(wanted map[string]bool, workloads []workload, others ...string) error {
	for name := range wanted {
		isName := func(w workload) bool { return w.name == name }
		if !slices.ContainsFunc(workloads, isName) && !slices.Contains(others, name) {
			return fmt.Errorf("unknown workload %q", name)
		}
	}
	return nil
}

// runChild is the main function of a child process.
func runChild(o options, in io.Reader, out io.Writer) error {
	if o.role == child.RoleBurner {
		return child.RunBurner(in)
	}
	if webs.IsRole(o.role) {
		stop, err := startProfile(o)
		if err != nil {
			return err
		}
		return errors.Join(webs.Serve(o.role, o.addr, in, out), stop())
	}
	if clusters.IsRole(o.role) {
		stop, err := startProfile(o)
		if err != nil {
			return err
		}
		return errors.Join(clusters.Serve(o.role, o.addr, strings.Split(o.nodes, ","), in, out), stop())
	}
	if o.role != child.RoleServer && o.role != child.RoleClient {
		return fmt.Errorf("unknown role %q", o.role)
	}
	s, ok := systems.ByName(o.system)
	if !ok {
		return fmt.Errorf("unknown system %q", o.system)
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

// startProfile starts a CPU profile of the child process if -profile is set. Otherwise stop does nothing.
func startProfile(o options) (stop func() error, err error) {
	if o.profile == "" {
		return func() error { return nil }, nil
	}
	name := o.system + "-" + o.role
	if node, _, _ := strings.Cut(o.nodes, ","); node != "" {
		name += "-" + node
	}
	f, err := os.Create(filepath.Join(o.profile, name+".pprof"))
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
