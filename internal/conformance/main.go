package conformance

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
	"github.com/perspectivebroker/pb/broker"
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

// Main is the program. It serves until SIGINT or SIGTERM and returns the exit status. A URL may have the scheme of one
// of the transports.
func Main(args []string, transports ...broker.Transport) int {
	debug.SetMemoryLimit(memory)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, args, transports)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		return 1
	}
	return 0
}

func run(ctx context.Context, args []string, transports []broker.Transport) error {
	config, err := parse(args)
	if err != nil {
		return err
	}
	config.transports = transports
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
