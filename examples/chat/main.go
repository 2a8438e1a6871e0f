// Chat is the chat of Twisted's documentation: users log in, join groups and send messages to all members of a group.
// Either end may be the stock program, chatclient.py or chatserver.py.
//
//	go run ./examples/chat server -listen pb://127.0.0.1:8800 -cred alice=1234 -cred bob=secret
//	go run ./examples/chat client -connect pb://127.0.0.1:8800 -user bob -password secret \
//	    -group '#NeedAFourth' -say 'Hello.'
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/internal/program"
)

func main() { program.Main("chat", run) }

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New(
			"say server -listen URL -cred USER=PASSWORD, or client -connect URL -user USER -password PASSWORD -group " +
				"GROUP -say TEXT",
		)
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	switch args[0] {
	case "server":
		users := program.Passwords{}
		listen := flags.String("listen", "pb://127.0.0.1:8800", "the `URL` to listen at; port 0 picks a free one")
		flags.Var(users, "cred", "a user's `USER=PASSWORD`; may be repeated")
		if err := program.Parse(flags, args[1:]); err != nil {
			return err
		}
		return program.WithRuntime(func(rt *actor.Runtime) error { return serve(ctx, rt, *listen, users) })
	case "client":
		var c client
		connect := flags.String("connect", "pb://127.0.0.1:8800", "the `URL` of the server")
		flags.StringVar(&c.user, "user", "", "the `name` to log in with")
		flags.StringVar(&c.password, "password", "", "the user's `password`")
		flags.StringVar(&c.group, "group", "#NeedAFourth", "the `group` to join")
		flags.StringVar(&c.say, "say", "", "the `text` to send to the group, if any")
		flags.BoolVar(&c.stay, "stay", false, "stay, and print what others say, until interrupted")
		if err := program.Parse(flags, args[1:]); err != nil {
			return err
		}
		return program.WithRuntime(func(rt *actor.Runtime) error { return c.talk(ctx, rt, *connect) })
	}
	return fmt.Errorf("there is no %q; say server or client", args[0])
}
