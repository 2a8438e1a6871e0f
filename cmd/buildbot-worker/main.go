//go:build unix

// Buildbot-worker is a worker for a stock Buildbot master, in one static binary: it runs the commands of builds and
// moves their files, and needs no Python on its machine.
//
//	CGO_ENABLED=0 go -C cmd build ./buildbot-worker
//	buildbot-worker -master pb://master:9989 -name go1 -password sesame -basedir /var/lib/worker
//
// docs/buildbot.md lists the differences from the stock worker. These are the actors:
//
//	dialers ─ reconnecting client     logs in with the bot as its mind; reconnects
//	objects ┬ bot                     the worker's mind (bot.go)
//	        └ builder, one for each   runs commands (builder.go)
//	             └ command            owns the unsent output of one command (command.go)
//
// A command's work is done by a job in its own goroutines, because it blocks on processes, files and the master.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/rs/zerolog"
)

// passwordVariable is the environment variable with the password, for use instead of the flag: everybody on the machine
// can read flags. Buildbot's own container images use the same name.
const passwordVariable = "WORKERPASS"

// endTime limits the shutdown: killing processes and writing the last answers.
const endTime = 15 * time.Second

func main() {
	keepDescriptors()
	resetIgnored()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "buildbot-worker:", err)
		os.Exit(1)
	}
}

// config is the parsed command line.
type config struct {
	master, name, password, basedir string
	keepalive, patience             time.Duration
	tls                             *tls.Config // nil for a pb:// URL
}

// defaultPort is the master's port if the URL has none.
const defaultPort = "9989"

// tlsVersions are the values of -tls-min.
var tlsVersions = map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

func parse(args []string) (config, error) {
	var c config
	flags := flag.NewFlagSet("buildbot-worker", flag.ContinueOnError)
	flags.StringVar(
		&c.master,
		"master",
		"",
		"the master's `URL`: pb://host[:port], or pbs://host[:port] for TLS; the default port is "+defaultPort,
	)
	flags.StringVar(&c.name, "name", "", "the worker's `name`, as in the master's configuration")
	flags.StringVar(&c.password, "password", "",
		"the worker's `password`; safer in the environment variable "+passwordVariable)
	flags.StringVar(
		&c.basedir,
		"basedir",
		"",
		"the `directory` of the builders; the master shows the files info/admin and info/host in it",
	)
	flags.DurationVar(
		&c.keepalive,
		"keepalive",
		600*time.Second,
		"the `interval` between keepalive calls; 0 for none",
	)
	// A master that reloads its configuration answers nothing for a while.
	flags.DurationVar(
		&c.patience,
		"patience",
		2*time.Minute,
		"how `long` the master may take to answer a keepalive before the worker drops the connection",
	)
	oldest := flags.String(
		"tls-min",
		"1.2",
		"the minimum `version` of TLS for a pbs:// URL, 1.2 or 1.3",
	)
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	if err := c.takePassword(); err != nil {
		return c, err
	}
	for _, need := range []struct{ flag, value string }{{"master", c.master}, {"name", c.name}, {"password", c.password},
		{"basedir", c.basedir}} {
		if need.value == "" {
			return c, fmt.Errorf("-%s is missing; see -help", need.flag)
		}
	}
	c.master = withPort(c.master)
	version, known := tlsVersions[*oldest]
	if !known {
		return c, fmt.Errorf("-tls-min is %q; it must be 1.2 or 1.3", *oldest)
	}
	if strings.HasPrefix(c.master, "pbs:") {
		c.tls = &tls.Config{
			MinVersion: version,
		} //nolint:gosec // old masters speak 1.2 only; the flag forbids it
	}
	var err error
	if c.basedir, err = filepath.Abs(c.basedir); err != nil {
		return c, err
	}
	// The stock create-worker also creates the directory.
	return c, os.MkdirAll(filepath.Join(c.basedir, infoDir), 0o777)
}

// takePassword takes the password from the flag or the environment and overwrites it there.
func (c *config) takePassword() error {
	if c.password == "" {
		c.password = os.Getenv(passwordVariable)
	}
	c.password = strings.Clone(c.password)
	hidePassword(c.password)
	// The master is shown the environment, and every command inherits it.
	return os.Unsetenv(passwordVariable)
}

// withPort adds the default port to a URL without one; package broker's default is Twisted's. It returns an invalid URL
// unchanged, and package broker reports the error.
func withPort(master string) string {
	u, err := url.Parse(master)
	if err != nil || u.Scheme != "pb" && u.Scheme != "pbs" || u.Hostname() == "" || u.Port() != "" {
		return master
	}
	u.Host = net.JoinHostPort(u.Hostname(), defaultPort)
	return u.String()
}

func run(ctx context.Context, args []string) error {
	c, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	log := zerolog.New(zerolog.ConsoleWriter{Out: os.Stderr, TimeFormat: time.DateTime, NoColor: true}).
		Level(zerolog.InfoLevel).With().Timestamp().Str("worker", c.name).Logger()
	rt, err := actor.NewRuntime(actor.WithLogger(log))
	if err != nil {
		return err
	}
	w, err := newWorker(rt, c)
	if err == nil {
		err = w.work(ctx)
	}
	end, cancel := context.WithTimeout(context.Background(), endTime)
	defer cancel()
	return errors.Join(err, rt.Close(end))
}
