package code

import (
	"context"
	"fmt"
	"testing"

	protoactor "github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
)

//guide:begin adopt
func adopt(system *protoactor.ActorSystem) (*actor.Runtime, error) {
	return actor.Adopt(system) // system.Shutdown stays the application's
}

//guide:end

//guide:begin spawn

// spawnClock publishes an object that keeps its actor until the application stops the PID.
func spawnClock(rt *actor.Runtime, clock *Clock) (*protoactor.PID, error) {
	return flavors.Spawn(rt, clock)
}

type Clock struct {
	flavors.Referenceable
	ticks int
}

func (c *Clock) RemoteTicks() int { return c.ticks }

// Tick is for the application: Do runs in the clock's turn, between the calls of peers.
func (c *Clock) Tick() *actor.Deferred { return c.Do(func() { c.ticks++ }) }

//guide:end

//guide:begin actor

// Buyer is an actor of the application that uses an object of a peer.
type Buyer struct {
	shop *flavors.RemoteReference
	got  chan<- string
}

func (b *Buyer) Receive(ctx protoactor.Context) {
	switch m := ctx.Message().(type) {
	case *protoactor.Started:
		flavors.Link(ctx, b.shop) // released when this actor ends
		ctx.Watch(b.shop.PID())   // Terminated comes when the connection ends
		for _, fruit := range []string{"apples", "pears"} {
			ctx.Request(b.shop.PID(), flavors.Message{Method: "price", Args: []any{fruit}, Token: fruit})
		}
	case flavors.Answer: // a value, not a pointer
		price, err := flavors.As[string](m.Value, m.Err)
		b.got <- fmt.Sprint(m.Token, ": ", price, " ", err)
	case string:
		b.ask(ctx, m)
	case *protoactor.Terminated:
		b.got <- "the shop has gone"
	}
}

//guide:end

//guide:begin then
func (b *Buyer) ask(ctx protoactor.Context, fruit string) {
	b.shop.CallRemote("price", fruit).Then(ctx, func(v any, err error) (any, error) {
		price, err := flavors.As[string](v, err)
		b.got <- fmt.Sprint(fruit, ": ", price, " ", err)
		return nil, nil
	})
}

//guide:end

// Shop sells fruit.
type Shop struct{ flavors.Referenceable }

func (*Shop) RemotePrice(fruit string) string { return "one coin for " + fruit }

//guide:begin forward

// Desk is an actor of the application that peers call. Each call is a message.
type Desk struct{ asked int }

func (d *Desk) Receive(ctx protoactor.Context) {
	if inv, ok := ctx.Message().(*flavors.Invocation); ok {
		d.asked++
		switch inv.Method {
		case "asked":
			inv.Answer(d.asked, nil)
		default:
			inv.Answer(nil, flavors.NoSuchMethod.Errorf("the desk does not %s", inv.Method))
		}
	}
}

func publishDesk(rt *actor.Runtime) (*broker.Listener, error) {
	pid := rt.Root().Spawn(rt.Props(func() protoactor.Actor { return &Desk{} }))
	return broker.Listen(rt, "pb://127.0.0.1:0", flavors.Forward(rt, pid))
}

//guide:end

// TestProtoactor runs what the page shows in an actor system of the application.
func TestProtoactor(t *testing.T) {
	ctx := t.Context()
	system := protoactor.NewActorSystem()
	defer system.Shutdown()
	rt, err := adopt(system)
	require.NoError(t, err)

	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", &Shop{})
	require.NoError(t, err)
	conn, err := broker.Dial(ctx, rt, ln.URL())
	require.NoError(t, err)
	got := make(chan string, 4)
	buyer := system.Root.Spawn(protoactor.PropsFromProducer(func() protoactor.Actor {
		return &Buyer{shop: conn.Root(), got: got}
	}))
	assert.Equal(t, "apples: one coin for apples <nil>", <-got)
	assert.Equal(t, "pears: one coin for pears <nil>", <-got)
	system.Root.Send(buyer, "plums")
	assert.Equal(t, "plums: one coin for plums <nil>", <-got)
	require.NoError(t, conn.Close(ctx))
	assert.Equal(t, "the shop has gone", <-got)
	require.NoError(t, system.Root.StopFuture(buyer).Wait())

	desk, err := publishDesk(rt)
	require.NoError(t, err)
	conn, err = broker.Dial(ctx, rt, desk.URL())
	require.NoError(t, err)
	n, err := flavors.Call[int](ctx, conn.Root(), "asked")
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	_, err = flavors.Call[int](ctx, conn.Root(), "dance")
	require.ErrorIs(t, err, flavors.NoSuchMethod)

	clock := &Clock{}
	_, err = spawnClock(rt, clock)
	require.NoError(t, err)
	_, err = clock.Tick().Await(ctx)
	require.NoError(t, err)
	ln, err = broker.Listen(rt, "pb://127.0.0.1:0", clock)
	require.NoError(t, err)
	conn, err = broker.Dial(ctx, rt, ln.URL())
	require.NoError(t, err)
	n, err = flavors.Call[int](ctx, conn.Root(), "ticks")
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	require.NoError(t, rt.Close(context.Background()))
}
