package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"time"
)

func main() { os.Exit(run(os.Args[1:])) }

// run is main without the process. It runs the controller, or one of the processes that the controller starts, and
// returns the exit status.
func run(args []string) int {
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	minutes := flags.Float64("minutes", 2, "duration of the load in minutes")
	seed := flags.Uint64("seed", 0, "seed of all random numbers; 0 picks one")
	role := flags.String("role", "", "internal: the role of the process")
	address := flags.String("address", "", "internal: the address of the server")
	lifetime := flags.Duration("lifetime", 0, "internal: how long a peer runs")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	var err error
	seedOf := func() uint64 {
		if *seed == 0 {
			return rand.Uint64() >> 32 //nolint:gosec // must be reproducible, not secret
		}
		return *seed
	}
	switch *role {
	case roleServer:
		err = runServer(*seed, os.Stdin, os.Stdout)
	case rolePeer:
		err = runPeer(*address, *seed, *lifetime, os.Stdout)
	default:
		var ok bool
		c := controller{seed: seedOf(), duration: time.Duration(*minutes * float64(time.Minute)), log: os.Stderr}
		if ok, err = c.run(context.Background(), os.Stdout); err == nil && !ok {
			return 1
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		return 1
	}
	return 0
}

// The roles of the processes that the controller starts.
const (
	roleServer = "server"
	rolePeer   = "peer"
)
