//go:build unix

// Buildbot-worker is a worker for a stock Buildbot master, in one static binary: it runs the commands of builds and
// moves their files, and needs no Python on its machine.
//
//	CGO_ENABLED=0 go -C cmd build ./buildbot-worker
//	buildbot-worker -master pb://master:9989 -name go1 -password sesame -basedir /var/lib/worker
//
// docs/buildbot.md says how it differs from the stock worker. The actors are these:
//
//	dialers ─ reconnecting client     logs in with the bot as its mind, again and again
//	objects ┬ bot                     what the master talks to first (bot.go)
//	        └ builder, one for each   keeps one command going (builder.go)
//	             └ command            owns what waits to be sent of one command (command.go)
//
// A command's work is done by a job in goroutines of its own, because it waits: for processes, files and the master.
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

// passwordVariable is where the password is taken from when it is not given as a flag, which everybody on the machine
// can read. It is the variable that Buildbot's own container images use.
const passwordVariable = "WORKERPASS"

// endTime is how long the end may take: running processes are killed, and the last answers written.
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

// config is what the command line says.
type config struct {
	master, name, password, basedir string
	keepalive, patience             time.Duration
	tls                             *tls.Config // nil for a pb:// URL
}

// defaultPort is where a master listens for workers that are not told otherwise.
const defaultPort = "9989"

// tlsVersions are what -tls-min takes.
var tlsVersions = map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

func parse(args []string) (config, error) {
	var c config
	flags := flag.NewFlagSet("buildbot-worker", flag.ContinueOnError)
	flags.StringVar(
		&c.master,
		"master",
		"",
		"the `URL` of the master, pb://host[:port], or pbs://host[:port] for TLS; the port is "+defaultPort+" unless it says otherwise",
	)
	flags.StringVar(&c.name, "name", "", "the worker's `name`, as in the master's configuration")
	flags.StringVar(&c.password, "password", "", "the worker's `password`; better kept in the variable "+passwordVariable)
	flags.StringVar(
		&c.basedir,
		"basedir",
		"",
		"the `directory` in which builders work; info/admin and info/host in it are shown by the master",
	)
	flags.DurationVar(
		&c.keepalive,
		"keepalive",
		600*time.Second,
		"how `long` to wait between two signs of life; 0 for none",
	)
	// A master that reads its configuration anew does nothing else for a while.
	flags.DurationVar(
		&c.patience,
		"patience",
		2*time.Minute,
		"how `long` the master may take to answer a sign of life before the connection is given up",
	)
	oldest := flags.String(
		"tls-min",
		"1.2",
		"the oldest `version` of TLS that is spoken with a master at a pbs:// URL, 1.2 or 1.3",
	)
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	if err := c.takePassword(); err != nil {
		return c, err
	}
	for _, need := range []struct{ flag, value string }{{"master", c.master}, {"name", c.name}, {"password", c.password}, {"basedir", c.basedir}} {
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
		} //nolint:gosec // 1.2 is what masters of their time speak; the flag forbids it
	}
	var err error
	if c.basedir, err = filepath.Abs(c.basedir); err != nil {
		return c, err
	}
	// The directory for its files is there when somebody wants to write one, as buildbot-worker create-worker has it.
	return c, os.MkdirAll(filepath.Join(c.basedir, infoDir), 0o777)
}

// takePassword finds the password, and leaves it in no place where others look for it.
func (c *config) takePassword() error {
	if c.password == "" {
		c.password = os.Getenv(passwordVariable)
	}
	c.password = strings.Clone(c.password)
	hidePassword(c.password)
	// The environment is shown to the master and inherited by every command.
	return os.Unsetenv(passwordVariable)
}

// withPort adds the port to a URL that has none. Package broker has another default, Twisted's. What is wrong with a
// URL is its affair, too.
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
