package broker_test

import (
	"context"
	"fmt"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
)

// visitorBook is the root of a server that knows only its gateways.
type visitorBook struct {
	flavors.Root
	left chan string
}

// RemoteSign takes the object of a gateway's client.
func (b *visitorBook) RemoteSign(name string, visitor *flavors.RemoteReference) {
	visitor.NotifyOnDisconnect(func(error) { b.left <- name + " has left" })
}

// RemoteGone is called by a gateway when the client has gone whose object it has passed on.
func (b *visitorBook) RemoteGone(visitor *flavors.RemoteReference) {
	flavors.EndReference(visitor, nil)
	visitor.Release()
}

// entrance is the root of a gateway.
type entrance struct {
	flavors.Root
	book *flavors.RemoteReference
}

// RemoteEnter passes the object of a client on.
func (e *entrance) RemoteEnter(name string, visitor *flavors.RemoteReference) error {
	return flavors.Send(context.Background(), e.book, "sign", name, visitor)
}

// guestOf is an object of a client.
type guestOf struct{ flavors.Referenceable }

// A gateway tells the server behind it which client has gone. The server's connection to the gateway goes on, so the
// server cannot know by itself.
func ExampleWithOriginEnded() {
	ctx := context.Background()
	rt, err := actor.NewRuntime()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer rt.Close(ctx)
	book := &visitorBook{left: make(chan string, 2)}
	server, err := broker.Listen(rt, "pb://127.0.0.1:0", book, broker.WithRelaying())
	if err != nil {
		fmt.Println(err)
		return
	}
	tellGone := func(conn *broker.Conn, visitor flavors.Gone) {
		_ = flavors.Send(conn.Context(), conn.Root(), "gone", visitor) // If this fails, the connection has ended.
	}
	up, err := broker.Dial(ctx, rt, server.URL(), broker.WithRelaying(), broker.WithOriginEnded(tellGone))
	if err != nil {
		fmt.Println(err)
		return
	}
	gateway, err := broker.Listen(rt, "pb://127.0.0.1:0", &entrance{book: up.Root()}, broker.WithRelaying())
	if err != nil {
		fmt.Println(err)
		return
	}
	client, err := broker.Dial(ctx, rt, gateway.URL())
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := flavors.Call[any](ctx, client.Root(), "enter", "ann", &guestOf{}); err != nil {
		fmt.Println(err)
		return
	}
	if _, err := flavors.Call[any](ctx, up.Root(), "sign", "the gateway", &guestOf{}); err != nil {
		fmt.Println(err) // It follows what the gateway has sent before.
		return
	}
	if err := client.Close(ctx); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(<-book.left)
	// Output: ann has left
}
