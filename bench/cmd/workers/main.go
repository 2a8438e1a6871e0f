// Command workers compares cmd/buildbot-worker with the stock buildbot-worker at one stock master: how long it takes
// from the start of the process until the master has attached it, its memory when idle and while a command prints, and
// its own CPU time for a build of short steps. The two take turns, so that other load affects both: compare the ratios.
//
//	go -C bench run ./cmd/workers          # about five minutes
//	go -C bench run ./cmd/workers -quick   # about one
//
// It needs Debian's buildbot and buildbot-worker.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() { os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) }

// options are the command line.
type options struct {
	rounds, steps int
	rate          int // of the printing command, in bytes per second
	printing      time.Duration
	print         bool // internal: this process is the printing command
}

func parse(args []string, log io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("workers", flag.ContinueOnError)
	flags.SetOutput(log)
	quick := flags.Bool("quick", false, "one round of 100 steps: less than a minute")
	flags.IntVar(&o.rounds, "rounds", 5, "number of rounds")
	flags.IntVar(&o.steps, "steps", 1000, "number of steps of the build of short steps")
	flags.IntVar(&o.rate, "rate", 20e6, "bytes per second of the printing command")
	flags.DurationVar(&o.printing, "printing", 5*time.Second, "duration of the printing command")
	flags.BoolVar(&o.print, "print", false, "internal: print, as the command of a build")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if *quick {
		o.rounds, o.steps, o.printing = 1, 100, time.Second
	}
	switch {
	case flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q: want only flags", flags.Arg(0))
	case o.rounds < 1 || o.steps < 1 || o.rate < 1 || o.printing <= 0:
		err = errors.New("-rounds, -steps, -rate and -printing must be positive")
	}
	if err != nil {
		fmt.Fprintln(log, "workers:", err)
	}
	return o, err
}

// run is main without the process. It returns the exit status.
func run(ctx context.Context, args []string, out, log io.Writer) int {
	o, err := parse(args, log)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case o.print:
		err = printLines(out, o.rate, o.printing)
	default:
		ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
		defer stop()
		err = compare(ctx, o, out, log)
	}
	if err != nil {
		fmt.Fprintln(log, "workers:", err)
		return 1
	}
	return 0
}

// printLines prints lines at a rate for a time. If the reader is slower, it prints at the reader's rate.
func printLines(out io.Writer, rate int, printing time.Duration) error {
	const interval = 10 * time.Millisecond
	line := []byte("the quick brown fox jumps over the lazy dog and prints another line of a build's log\n")
	var chunk []byte
	for len(chunk) < rate/int(time.Second/interval) {
		chunk = append(chunk, line...)
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for left := printing; left > 0; left -= interval {
		if _, err := out.Write(chunk); err != nil {
			return err
		}
		<-ticker.C
	}
	return nil
}
