package flavors_test

import (
	"context"
	"fmt"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
)

// Cloakroom keeps one value, as it came.
type Cloakroom struct {
	flavors.Root
	coat *flavors.Relayed
}

func (c *Cloakroom) RemoteLeave(coat *flavors.Relayed) { c.coat = coat }
func (c *Cloakroom) RemoteFetch() *flavors.Relayed     { return c.coat }

// Visitor is an object of one of the clients.
type Visitor struct{ flavors.Referenceable }

func (*Visitor) RemoteGreet(name string) string { return "hello " + name }

// One client leaves an object, and another one calls it.
func ExampleRelayed() {
	ctx := context.Background()
	rt, err := actor.NewRuntime()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer rt.Close(ctx)
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", &Cloakroom{}, broker.WithRelaying())
	if err != nil {
		fmt.Println(err)
		return
	}
	first, err := broker.Dial(ctx, rt, ln.URL())
	if err != nil {
		fmt.Println(err)
		return
	}
	second, err := broker.Dial(ctx, rt, ln.URL())
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := flavors.Call[any](ctx, first.Root(), "leave", []any{&Visitor{}}); err != nil {
		fmt.Println(err)
		return
	}
	guests, err := flavors.Call[[]*flavors.RemoteReference](ctx, second.Root(), "fetch")
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := flavors.Call[string](ctx, guests[0], "greet", "world")
	fmt.Println(text, err)
	// Output: hello world <nil>
}
