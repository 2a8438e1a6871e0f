// Duckpond keeps a cache of a pond up to date: the sender has the original, the receiver the cache. It is the cache
// example of Twisted's documentation, and either end may be the stock program.
//
//	go run ./examples/duckpond receiver -listen pb://127.0.0.1:8800
//	go run ./examples/duckpond sender -connect pb://127.0.0.1:8800
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/perspectivebroker/pb/actor"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "duckpond:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("say receiver -listen URL, or sender -connect URL")
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	switch args[0] {
	case "receiver":
		listen := flags.String("listen", "pb://127.0.0.1:8800", "the `URL` to listen at; port 0 picks a free one")
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		return withRuntime(func(rt *actor.Runtime) error { return receive(ctx, rt, *listen) })
	case "sender":
		connect := flags.String("connect", "pb://127.0.0.1:8800", "the `URL` of the receiver")
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		return withRuntime(func(rt *actor.Runtime) error { return send(ctx, rt, *connect) })
	}
	return fmt.Errorf("there is no %q; say receiver or sender", args[0])
}

func withRuntime(f func(*actor.Runtime) error) error {
	rt, err := actor.NewRuntime()
	if err != nil {
		return err
	}
	err = f(rt)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return errors.Join(err, rt.Close(ctx))
}
