// Buildbot-master is a minimal master for stock Buildbot workers: it runs one command on each worker that attaches and
// prints the output. It also takes changes from "buildbot sendchange", and patches from "buildbot try --connect=pb".
//
//	go run ./examples/buildbot-master -listen pb://127.0.0.1:9989 -worker w1=sesame \
//	    -command 'uname -a' -change-user change=changepw
//	go run ./examples/buildbot-master -worker w1=sesame -try anna=trypw -command 'patch -p1 <.try.patch && make check'
//
// With -try, each worker is a builder that runs the command for tries only, one at a time. The patch is in the file
// .try.patch of its build directory.
//
// Other users can read passwords on the command line in the list of processes. "-worker @FILE" reads NAME=PASSWORD
// lines from a file instead, and so do -change-user and -try.
//
// A worker logs in with an object of its own, the mind, and the master works by calling it. So the program is a portal
// whose realm has avatars for workers and for users who send changes or try patches.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/rs/zerolog"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], printer{os.Stdout}); err != nil {
		fmt.Fprintln(os.Stderr, "buildbot-master:", err)
		os.Exit(1)
	}
}

// accounts is a flag that may be repeated: NAME=PASSWORD, or @FILE with such lines.
type accounts map[string]string

func (a accounts) String() string { return "" }

func (a accounts) Set(value string) error {
	path, isFile := strings.CutPrefix(value, "@")
	if !isFile {
		return a.add(value)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			continue
		}
		if err := a.add(line); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

func (a accounts) add(pair string) error {
	name, password, ok := strings.Cut(pair, "=")
	if !ok || name == "" || password == "" {
		return errors.New("want NAME=PASSWORD or @FILE")
	}
	if _, twice := a[name]; twice {
		return fmt.Errorf("%s is given twice", name)
	}
	a[name] = password
	return nil
}

func run(ctx context.Context, args []string, out printer) error {
	workers, senders, triers := accounts{}, accounts{}, accounts{}
	flags := flag.NewFlagSet("buildbot-master", flag.ContinueOnError)
	listen := flags.String("listen", "pb://127.0.0.1:9989", "the `URL` to listen at; port 0 picks a free one")
	command := flags.String("command", "", "the shell command `line` that each worker runs")
	once := flags.Bool("once", false, "end after the first command; with -try, after the first user's tries")
	flags.Var(workers, "worker", "a worker's `NAME=PASSWORD`, or @FILE with such lines; may be repeated")
	flags.Var(senders, "change-user", "a `USER=PASSWORD` for buildbot sendchange, or @FILE with such lines; may be "+
		"repeated")
	flags.Var(triers, "try", "a `USER=PASSWORD` for buildbot try --connect=pb, or @FILE with such lines; may be "+
		"repeated; the command then runs for tries only")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q: want only flags; quote the command", flags.Arg(0))
	}
	if len(triers) > 0 && *command == "" {
		return errors.New("-try needs the -command to run for each try")
	}
	log := zerolog.New(zerolog.ConsoleWriter{Out: os.Stderr, TimeFormat: time.DateTime, NoColor: true}).
		Level(zerolog.InfoLevel).With().Timestamp().Logger()
	rt, err := actor.NewRuntime(actor.WithLogger(log))
	if err != nil {
		return err
	}
	m := &master{
		rt:       rt,
		out:      out,
		command:  *command,
		workers:  workers,
		senders:  senders,
		attached: map[string]bool{},
		ended:    make(chan struct{}),
	}
	if len(triers) > 0 {
		m.tries = newTries(slices.Collect(maps.Keys(workers)), m.end)
	}
	err = m.serve(ctx, *listen, triers, *once)
	if m.tries != nil {
		m.tries.stop()
	}
	end, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return errors.Join(err, rt.Close(end))
}

// serve listens until ctx ends, or with once until a command has ended.
func (m *master) serve(ctx context.Context, url string, triers accounts, once bool) error {
	users := map[string]cred.Entry{}
	for _, group := range []accounts{m.workers, m.senders, triers} {
		for name, password := range group {
			if _, twice := users[name]; twice {
				return fmt.Errorf("%s is given to more than one of -worker, -change-user and -try; use different names", name)
			}
			users[name] = cred.Plaintext(cred.Secret(password))
		}
	}
	checker, err := cred.NewInMemory(users)
	if err != nil {
		return err
	}
	realm := cred.RealmFunc[*flavors.RemoteReference, any](m.requestAvatar)
	portal, err := cred.NewPortal[*flavors.RemoteReference, any](realm, checker)
	if err != nil {
		return err
	}
	ln, err := broker.Listen(m.rt, url, broker.LoginRoot(portal))
	if err != nil {
		return err
	}
	m.out.line("listening %s", ln.URL())
	ended := m.ended
	if !once {
		ended = nil
	}
	select {
	case <-ctx.Done():
	case <-ended:
	}
	return nil
}
