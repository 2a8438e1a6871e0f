// Conformance is a server with a fixed contract, so that any Perspective Broker program can be tested against this
// module. See the methods of [Conformance].
//
//	go run ./examples/conformance -listen pb://127.0.0.1:0
//	go run ./examples/conformance -listen pbs://127.0.0.1:8801 -cert cert.pem -key key.pem [-client-ca ca.pem]
//	go run ./examples/conformance -listen pb+unix:///tmp/pb.sock -cred moe=secret -anonymous
//
// When it is ready it prints one line, "listening URL", with the real port; logs go to standard error. SIGINT and
// SIGTERM end it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/rs/zerolog"
)

// shutdownTime limits the shutdown; the contract promises five seconds. Within it, hangUpTime limits the writing to
// peers that do not read.
const (
	shutdownTime = 1500 * time.Millisecond
	hangUpTime   = shutdownTime / 2
)

// idleWorkers is the number of goroutines kept for work. stats counts them, so they must not stay after a load.
const idleWorkers = 4

func main() {
	debug.SetMemoryLimit(memory)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	config, err := parse(args)
	if err != nil {
		return err
	}
	log := zerolog.New(os.Stderr).Level(zerolog.InfoLevel).With().Timestamp().Logger()
	rt, err := actor.NewRuntime(actor.WithLogger(log), actor.WithIdleWorkers(idleWorkers))
	if err != nil {
		return err
	}
	server, err := serve(rt, config)
	if err == nil {
		fmt.Println("listening", server.listener.URL())
		<-ctx.Done()
	}

	closing, cancel := context.WithTimeout(context.Background(), shutdownTime)
	defer cancel()
	if server != nil {
		hangingUp, cancel := context.WithTimeout(closing, hangUpTime)
		server.hangUp(hangingUp)
		cancel()
	}
	if late := rt.Close(closing); late != nil {
		// Do not wait for a method that occupies its object: it ends with the process.
		log.Warn().Err(late).Msg("closed with work under way")
	}
	return err
}
