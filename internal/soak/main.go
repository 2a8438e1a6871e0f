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

// run is the program: the one that is started by hand, or one of those that it starts.
func run(args []string) int {
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	minutes := flags.Float64("minutes", 2, "how long the load lasts")
	seed := flags.Uint64("seed", 0, "of all random numbers; 0 for one of its own")
	role := flags.String("role", "", "what this process is; set by the program itself")
	address := flags.String("address", "", "of the server; set by the program itself")
	life := flags.Duration("life", 0, "how long a peer lives; set by the program itself")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	var err error
	seedOf := func() uint64 {
		if *seed == 0 {
			return rand.Uint64() >> 32 //nolint:gosec // it is to be repeatable, not secret
		}
		return *seed
	}
	switch *role {
	case roleServer:
		err = runServer(*seed, os.Stdin, os.Stdout)
	case rolePeer:
		err = runPeer(*address, *seed, *life, os.Stdout)
	default:
		var held bool
		c := controller{seed: seedOf(), length: time.Duration(*minutes * float64(time.Minute)), log: os.Stderr}
		if held, err = c.soak(context.Background(), os.Stdout); err == nil && !held {
			return 1
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		return 1
	}
	return 0
}

// The processes that the program starts of itself.
const (
	roleServer = "server"
	rolePeer   = "peer"
)
