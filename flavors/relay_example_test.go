package flavors_test

import (
	"context"
	"fmt"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// Follower is a copy of a thermometer that passes on what it follows. A struct cannot embed both RemoteCache and
// Cacheable, because each is an actor of its own. So the copy has an original for its peers in a field.
type Follower struct {
	flavors.RemoteCache
	Degrees int `pb:"degrees"`

	relay *Thermometer
}

// PostUnjelly runs when the copy has its state.
func (f *Follower) PostUnjelly() { f.relay.Set(f.Degrees) }

func (f *Follower) ObserveSet(degrees int) { f.relay.Set(degrees) }

// A copy of a server's original is the original of other clients' copies.
func ExampleRemoteCache_relay() {
	ctx := context.Background()
	rt, err := actor.NewRuntime()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer rt.Close(ctx)
	server, err := broker.Listen(rt, "pb://127.0.0.1:0", &Station{})
	if err != nil {
		fmt.Println(err)
		return
	}

	// The relay follows the server, and publishes what it follows.
	station := &Station{}
	follows := jelly.NewRegistry()
	err = flavors.RegisterCacheFactory(follows, "weather.Thermometer", func() *Follower {
		return &Follower{relay: &station.thermometer}
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	up, err := broker.Dial(ctx, rt, server.URL(), broker.WithRegistry(follows))
	if err != nil {
		fmt.Println(err)
		return
	}
	followed, err := flavors.Call[*flavors.Cached[Follower]](ctx, up.Root(), "thermometer")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer followed.Release()
	relay, err := broker.Listen(rt, "pb://127.0.0.1:0", station)
	if err != nil {
		fmt.Println(err)
		return
	}

	// A client of the relay sees what changes at the server.
	known := jelly.NewRegistry()
	if err := flavors.RegisterCache[ThermometerCopy](known, "weather.Thermometer"); err != nil {
		fmt.Println(err)
		return
	}
	conn, err := broker.Dial(ctx, rt, relay.URL(), broker.WithRegistry(known))
	if err != nil {
		fmt.Println(err)
		return
	}
	seen, err := flavors.Call[*flavors.Cached[ThermometerCopy]](ctx, conn.Root(), "thermometer")
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := flavors.Call[any](ctx, up.Root(), "warm", 21); err != nil {
		fmt.Println(err)
	}
	// The update has reached the relay's copy, whose Observe method has changed the relay's original.
	_ = followed.View(func(*Follower) {})
	_, _ = station.thermometer.Do(func() {}).Await(ctx)
	_, _ = flavors.Call[any](ctx, conn.Root(), "thermometer") // behind the update
	_ = seen.View(func(t *ThermometerCopy) { fmt.Println(t.Degrees, "degrees") })
	// Output: 21 degrees
}
