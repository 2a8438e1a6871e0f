// Quickstart is a minimal Perspective Broker program: a server whose object adds and subtracts, and a client that calls
// it. Without arguments it runs both ends over TCP and logs what their actors do:
//
//	go run ./examples/quickstart
//	go run ./examples/quickstart server -listen pb://127.0.0.1:8800 -inspect 127.0.0.1:8801
//	go run ./examples/quickstart client -connect pb://127.0.0.1:8800
//
// Either end may be a stock Twisted program, such as pbsimple.py or pbsimpleclient.py of its documentation.
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

	"github.com/perspectivebroker/pb/actor"
	"github.com/rs/zerolog"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return both(ctx)
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	switch args[0] {
	case "server":
		listen := flags.String("listen", "pb://127.0.0.1:8800", "the `URL` to listen at; port 0 picks a free one")
		inspect := flags.String("inspect", "", "show a browser what the server does, at `HOST:PORT`; port 0 picks a free one")
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		return withRuntime("server", func(rt *actor.Runtime) error { return serve(ctx, rt, *listen, *inspect) })
	case "client":
		connect := flags.String("connect", "pb://127.0.0.1:8800", "the `URL` of the server")
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		return withRuntime("client", func(rt *actor.Runtime) error { return call(ctx, rt, *connect) })
	}
	return fmt.Errorf("there is no %q; say server -listen URL, client -connect URL, or nothing for both", args[0])
}

// both runs the two ends in one process, each with its own Runtime.
func both(ctx context.Context) error {
	return withRuntime("server", func(serverRuntime *actor.Runtime) error {
		ln, err := listen(serverRuntime, "pb://127.0.0.1:0")
		if err != nil {
			return err
		}
		return withRuntime("client", func(rt *actor.Runtime) error { return call(ctx, rt, ln.URL()) })
	})
}

// withRuntime runs f with a Runtime and closes it afterwards.
func withRuntime(name string, f func(*actor.Runtime) error) error {
	rt, err := actor.NewRuntime(actor.WithLogger(logger(os.Stderr, name)))
	if err != nil {
		return err
	}
	err = f(rt)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return errors.Join(err, rt.Close(ctx))
}

// logger logs what the actors do, one readable line each.
func logger(w io.Writer, name string) zerolog.Logger {
	out := zerolog.ConsoleWriter{Out: w, TimeFormat: "15:04:05.000", NoColor: true}
	return zerolog.New(out).With().Str("end", name).Logger().Hook(zerolog.HookFunc(stamp))
}

// stamp adds the time with milliseconds. zerolog's own timestamp has whole seconds.
func stamp(e *zerolog.Event, _ zerolog.Level, _ string) {
	e.Str(zerolog.TimestampFieldName, time.Now().Format(time.RFC3339Nano))
}
