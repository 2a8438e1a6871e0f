// Buildbot-master is the smallest master that a stock Buildbot worker is content with: it runs one command on each
// worker that attaches and prints what the command says. It also takes changes from "buildbot sendchange".
//
//	go run ./examples/buildbot-master -listen pb://127.0.0.1:9989 -worker w1=sesame -command 'uname -a' -change-user change=changepw
//
// The worker logs in with an object of its own, its mind, and what a master does it does by calling that. So the login
// is the whole program: a portal whose realm has an avatar for each worker and one for each sender of changes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
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

// accounts is a flag that may be given more than once: NAME=PASSWORD.
type accounts map[string]string

func (a accounts) String() string { return "" }

func (a accounts) Set(pair string) error {
	name, password, ok := strings.Cut(pair, "=")
	if !ok || name == "" || password == "" {
		return errors.New("it must be NAME=PASSWORD")
	}
	if _, twice := a[name]; twice {
		return fmt.Errorf("%s is given twice", name)
	}
	a[name] = password
	return nil
}

func run(ctx context.Context, args []string, out printer) error {
	workers, senders := accounts{}, accounts{}
	flags := flag.NewFlagSet("buildbot-master", flag.ContinueOnError)
	listen := flags.String("listen", "pb://127.0.0.1:9989", "the `URL` to listen at; port 0 picks a free one")
	command := flags.String("command", "", "what the workers run: a `line` for their shell")
	once := flags.Bool("once", false, "end after the first command")
	flags.Var(workers, "worker", "a worker's `NAME=PASSWORD`; may be given more than once")
	flags.Var(senders, "change-user", "`USER=PASSWORD` for buildbot sendchange; may be given more than once")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
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
		attached: map[string]bool{},
		ended:    make(chan struct{}),
	}
	err = m.serve(ctx, *listen, senders, *once)
	end, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return errors.Join(err, rt.Close(end))
}

// serve listens until ctx ends, or a command with -once.
func (m *master) serve(ctx context.Context, url string, senders accounts, once bool) error {
	users := map[string]cred.Entry{}
	for _, group := range []accounts{m.workers, senders} {
		for name, password := range group {
			if _, twice := users[name]; twice {
				return fmt.Errorf("%s is both a worker and a sender of changes; give them different names", name)
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
