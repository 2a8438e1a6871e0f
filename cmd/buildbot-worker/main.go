// Buildbot-worker is a worker for a stock Buildbot master, in one static binary: it runs the commands of builds and
// moves their files, and needs no Python on its machine.
//
//	buildbot-worker run /var/lib/worker                             the directory of a stock worker, unchanged
//	buildbot-worker create /var/lib/worker master:9989 go1          writes such a directory
//	buildbot-worker -master pb://master:9989 -name go1 -basedir /var/lib/worker
//
// docs/buildbot.md describes the flags and lists the differences from the stock worker. These are the actors:
//
//	dialers ─ reconnecting client     logs in with the bot as its mind; reconnects
//	objects ┬ bot                     the worker's mind (bot.go)
//	        ├ observer                notes the state of the connection (status.go)
//	        └ builder, one for each   runs commands (builder.go)
//	             └ command            owns the unsent output of one command (command.go)
//
// A command's work is done by a job in its own goroutines, because it blocks on processes, files and the master.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/cmd/buildbot-worker/internal/service"
	"github.com/rs/zerolog"
)

// endTime limits the shutdown: killing processes and writing the last answers.
const endTime = 15 * time.Second

// Exit statuses.
const (
	exitFailed = 1 // an error while it ran
	exitUsage  = 2 // wrong flags, a buildbot.tac that cannot be used, a base directory that cannot be used
	exitGaveUp = 3 // the limit of -maxretries
	exitLocked = 4 // another worker uses the base directory
)

// usageError is an error of the command line or of what it names.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// errGaveUp ends a worker with -maxretries.
var errGaveUp = errors.New("gave up: the number of attempts that -maxretries allows have failed")

func main() {
	saveResources()
	keepDescriptors()
	if signal.Ignored(syscall.SIGHUP) {
		hupIgnored = true // by nohup
	}
	resetIgnored()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var args []string
	for _, arg := range os.Args[1:] {
		args = append(args, strings.Clone(arg)) // hideSecrets overwrites the original
	}
	err := run(ctx, args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "buildbot-worker:", err)
	}
	os.Exit(exitStatus(err)) //nolint:gocritic // stop has nothing left to do
}

func exitStatus(err error) int {
	var wrong usageError
	switch {
	case err == nil:
		return 0
	case errors.Is(err, service.ErrLocked):
		return exitLocked
	case errors.As(err, &wrong):
		return exitUsage
	case errors.Is(err, errGaveUp):
		return exitGaveUp
	}
	return exitFailed
}

// run runs a command line.
func run(ctx context.Context, args []string) error {
	var c config
	var err error
	switch {
	case len(args) > 0 && (args[0] == "create" || args[0] == "create-worker"): // the stock program's name
		if err = create(args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
			return usageError{err}
		}
		return nil
	case len(args) > 0 && (args[0] == "run" || args[0] == "start"): // the stock program's name
		c, err = parseRun(args[0], args[1:])
	case len(args) > 0 && (args[0] == "version" || args[0] == "-version" || args[0] == "--version"):
		fmt.Println(version)
		return nil
	default:
		c, err = parse(args)
	}
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return usageError{err}
	}
	return serve(ctx, c)
}

// serve runs a configured worker.
func serve(ctx context.Context, c config) error {
	notify := service.NewNotifier()
	children.Adopt() // the orphans of a container, if this is its first process
	if err := checkBasedir(c.basedir); err != nil {
		return usageError{err}
	}
	unlock, err := service.Lock(c.basedir)
	if err != nil {
		return err
	}
	defer unlock()
	c.apply()
	out := io.Writer(os.Stderr)
	if c.logFile != "" {
		file := service.OpenLog(c.logFile, c.logSize, c.logCount, os.Stderr)
		defer func() { _ = file.Close() }()
		out = file
	}
	log := zerolog.New(zerolog.ConsoleWriter{Out: out, TimeFormat: time.DateTime, NoColor: true}).
		Level(zerolog.InfoLevel).With().Timestamp().Str("worker", c.name).Logger()
	for _, note := range c.notes {
		log.Info().Msg(note)
	}
	rt, err := actor.NewRuntime(actor.WithLogger(log))
	if err != nil {
		return err
	}
	w, err := newWorker(rt, c, notify)
	if err == nil {
		err = w.work(ctx)
	}
	end, cancel := context.WithTimeout(context.Background(), endTime)
	defer cancel()
	return errors.Join(err, rt.Close(end))
}
