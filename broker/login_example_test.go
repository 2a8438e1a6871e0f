package broker_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/rs/zerolog"
)

// Customer is the avatar: the object that a user calls after the login.
type Customer struct {
	flavors.Avatar
	name string
	mind *flavors.RemoteReference
}

// PerspectiveGreet calls the mind.
func (c *Customer) PerspectiveGreet() *actor.Deferred {
	return c.mind.CallRemote("say", "hello, "+c.name)
}

// Terminal is the mind: an object of the client that the server may call.
type Terminal struct{ flavors.Referenceable }

func (*Terminal) RemoteSay(text string) string { return "said: " + text }

func exampleRuntime() *actor.Runtime {
	rt, err := actor.NewRuntime(actor.WithLogger(zerolog.Nop()))
	if err != nil {
		log.Fatal(err)
	}
	return rt
}

func ExampleLogin() {
	ctx := context.Background()
	rt := exampleRuntime()
	defer rt.Close(ctx)

	users, err := cred.NewInMemory(map[string]cred.Entry{"alice": cred.Plaintext("sesame")})
	if err != nil {
		log.Fatal(err)
	}
	enter := func(ctx context.Context, id cred.AvatarID, mind *flavors.RemoteReference) (*Customer, func(), error) {
		conn := broker.ConnOf(ctx) // The peer's address and certificates.
		fmt.Println(id.Name(), "logs in over", conn.RemoteAddr().Network())
		logout := func() { fmt.Println(id.Name(), "logs out") }
		return &Customer{name: id.Name(), mind: mind}, logout, nil
	}
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", broker.Login(enter, users))
	if err != nil {
		log.Fatal(err)
	}

	conn, err := broker.Dial(ctx, rt, ln.URL())
	if err != nil {
		log.Fatal(err)
	}
	avatar, err := conn.Login(ctx, cred.UsernamePassword{Username: "alice", Password: "sesame"}, &Terminal{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(flavors.Call[string](ctx, avatar, "greet"))
	if err := rt.Close(ctx); err != nil { // It waits for the logout.
		log.Fatal(err)
	}
	// Output:
	// alice logs in over tcp
	// said: hello, alice <nil>
	// alice logs out
}

func ExampleLoginRoot() {
	ctx := context.Background()
	rt := exampleRuntime()
	defer rt.Close(ctx)

	// The portal decides which users may log in, and to which avatars.
	users, err := cred.NewInMemory(map[string]cred.Entry{"alice": cred.Plaintext("sesame")})
	if err != nil {
		log.Fatal(err)
	}
	realm := cred.RealmFunc[*flavors.RemoteReference, *Customer](
		func(_ context.Context, id cred.AvatarID, mind *flavors.RemoteReference) (*Customer, func(), error) {
			return &Customer{name: id.Name(), mind: mind}, nil, nil
		})
	portal, err := cred.NewPortal(realm, users)
	if err != nil {
		log.Fatal(err)
	}
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", broker.LoginRoot(portal))
	if err != nil {
		log.Fatal(err)
	}

	conn, err := broker.Dial(ctx, rt, ln.URL())
	if err != nil {
		log.Fatal(err)
	}
	_, err = conn.Login(ctx, cred.UsernamePassword{Username: "alice", Password: "guess"}, nil)
	fmt.Println(errors.Is(err, flavors.UnauthorizedLogin))
	avatar, err := conn.Login(ctx, cred.UsernamePassword{Username: "alice", Password: "sesame"}, &Terminal{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(flavors.Call[string](ctx, avatar, "greet"))
	// Output:
	// true
	// said: hello, alice <nil>
}
