// Words is a chat for the stock classes of twisted.words.service: users log in, join groups, and send messages to the
// other members. Either end may be a Twisted program that uses those classes.
//
//	go run ./examples/words server -listen pb://127.0.0.1:8787 -cred alice=1234 -cred bob=secret -group lobby
//	go run ./examples/words client -connect pb://127.0.0.1:8787 -user bob -password secret -group lobby -say 'Hello.'
//
// The client prints what it hears, and leaves when another member has said its own words, or after -stay.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/internal/program"
)

func main() { program.Main("words", run) }

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("say server -listen URL -cred USER=PASSWORD -group NAME, or client -connect URL -user USER " +
			"-password PASSWORD -group GROUP -say TEXT")
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	switch args[0] {
	case "server":
		users := program.Passwords{}
		var groups names
		listen := flags.String("listen", "pb://127.0.0.1:8787", "the `URL` to listen at; port 0 picks a free one")
		flags.Var(users, "cred", "a user's `USER=PASSWORD`; may be repeated")
		flags.Var(&groups, "group", "the `NAME` of a group; may be repeated. Without any, users create groups by joining")
		if err := program.Parse(flags, args[1:]); err != nil {
			return err
		}
		return program.WithRuntime(func(rt *actor.Runtime) error { return serve(ctx, rt, *listen, users, groups) })
	case "client":
		var c client
		connect := flags.String("connect", "pb://127.0.0.1:8787", "the `URL` of the server")
		flags.StringVar(&c.user, "user", "", "the `name` to log in with")
		flags.StringVar(&c.password, "password", "", "the user's `password`")
		flags.StringVar(&c.group, "group", "lobby", "the `group` to join")
		flags.StringVar(&c.say, "say", "", "the `text` to send to the group, if any")
		flags.DurationVar(&c.stay, "stay", 5*time.Second, "how long to stay in the group at most")
		if err := program.Parse(flags, args[1:]); err != nil {
			return err
		}
		return program.WithRuntime(func(rt *actor.Runtime) error { return c.talk(ctx, rt, *connect) })
	}
	return fmt.Errorf("there is no %q; say server or client", args[0])
}

// names are the -group flags.
type names []string

// String implements flag.Value.
func (n *names) String() string { return strings.Join(*n, " ") }

// Set implements flag.Value.
func (n *names) Set(name string) error {
	if name == "" {
		return errors.New("want a name")
	}
	*n = append(*n, name)
	return nil
}
