package flavors_test

import (
	"context"
	"fmt"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
)

// A program that passes calls of its clients on to a server waits, before it stops, until none of them waits any more.
func ExamplePassesOn() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	rt, err := actor.NewRuntime()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer rt.Close(context.Background())
	server, err := broker.Listen(rt, "pb://127.0.0.1:0", &Cloakroom{}, broker.WithRelaying())
	if err != nil {
		fmt.Println(err)
		return
	}
	up, err := broker.Dial(ctx, rt, server.URL(), broker.WithRelaying())
	if err != nil {
		fmt.Println(err)
		return
	}
	for flavors.PassesOn(up.Root()) {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done(): // The server, or a client, does not read.
			fmt.Println("some calls are lost")
			return
		}
	}
	fmt.Println("all calls have been given to the server")
	// Output: all calls have been given to the server
}
