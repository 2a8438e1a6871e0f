package program

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
	"github.com/perspectivebroker/pb/cred"
)

// Main runs a program with its arguments. Its context ends with SIGINT or SIGTERM. If run fails, Main prints the error
// and exits with status 1. Help is no failure; package flag has printed it.
func Main(name string, run func(ctx context.Context, args []string) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, name+":", err)
		os.Exit(1)
	}
}

// Parse parses flags, and refuses what is left behind them: flags after the first other argument would be ignored.
func Parse(flags *flag.FlagSet, args []string) error {
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q: want only flags", flags.Arg(0))
	}
	return nil
}

// WithRuntime runs f with a Runtime and closes it afterwards.
func WithRuntime(f func(*actor.Runtime) error) error {
	rt, err := actor.NewRuntime()
	if err != nil {
		return err
	}
	err = f(rt)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return errors.Join(err, rt.Close(ctx))
}

// Passwords are the values of a flag that may be repeated.
type Passwords map[string]cred.Entry

// String implements flag.Value. It does not print passwords.
func (p Passwords) String() string { return fmt.Sprintf("%d users", len(p)) }

// Set implements flag.Value.
func (p Passwords) Set(pair string) error {
	user, password, ok := strings.Cut(pair, "=")
	if !ok || user == "" {
		return errors.New("write it as USER=PASSWORD")
	}
	p[user] = cred.Plaintext(cred.Secret(password))
	return nil
}
