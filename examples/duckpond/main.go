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

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/internal/program"
)

func main() { program.Main("duckpond", run) }

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("say receiver -listen URL, or sender -connect URL")
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	switch args[0] {
	case "receiver":
		listen := flags.String("listen", "pb://127.0.0.1:8800", "the `URL` to listen at; port 0 picks a free one")
		if err := program.Parse(flags, args[1:]); err != nil {
			return err
		}
		return program.WithRuntime(func(rt *actor.Runtime) error { return receive(ctx, rt, *listen) })
	case "sender":
		connect := flags.String("connect", "pb://127.0.0.1:8800", "the `URL` of the receiver")
		if err := program.Parse(flags, args[1:]); err != nil {
			return err
		}
		return program.WithRuntime(func(rt *actor.Runtime) error { return send(ctx, rt, *connect) })
	}
	return fmt.Errorf("there is no %q; say receiver or sender", args[0])
}
