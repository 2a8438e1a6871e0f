package flavors_test

import (
	"context"
	"fmt"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// Thermometer is an original.
type Thermometer struct {
	flavors.Cacheable
	Degrees int `pb:"degrees"`
}

func (*Thermometer) TypeToCopy() string { return "weather.Thermometer" }

// Set changes the thermometer and all copies of it.
func (t *Thermometer) Set(degrees int) *actor.Deferred {
	return flavors.Update(t, func(observers flavors.Observers) {
		t.Degrees = degrees
		_ = observers.CallRemote("set", degrees)
	})
}

// ThermometerCopy is a local copy of a Thermometer.
type ThermometerCopy struct {
	flavors.RemoteCache
	Degrees int `pb:"degrees"`
}

func (t *ThermometerCopy) ObserveSet(degrees int) { t.Degrees = degrees }

// Station gives out its thermometer.
type Station struct {
	flavors.Root
	thermometer Thermometer
}

func (s *Station) RemoteThermometer() *Thermometer        { return &s.thermometer }
func (s *Station) RemoteWarm(degrees int) *actor.Deferred { return s.thermometer.Set(degrees) }

// A cache follows its original: the server's changes are visible in the client's copy.
func Example_cache() {
	ctx := context.Background()
	rt, err := actor.NewRuntime()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer rt.Close(ctx)
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", &Station{})
	if err != nil {
		fmt.Println(err)
		return
	}
	known := jelly.NewRegistry()
	if err := flavors.RegisterCache[ThermometerCopy](known, "weather.Thermometer"); err != nil {
		fmt.Println(err)
		return
	}
	conn, err := broker.Dial(ctx, rt, ln.URL(), broker.WithRegistry(known))
	if err != nil {
		fmt.Println(err)
		return
	}
	thermometer, err := flavors.Call[*flavors.Cached[ThermometerCopy]](ctx, conn.Root(), "thermometer")
	if err != nil {
		fmt.Println(err)
		return
	}
	show := func() {
		_ = thermometer.View(func(t *ThermometerCopy) { fmt.Println(t.Degrees, "degrees") })
	}
	show()
	if _, err := flavors.Call[any](ctx, conn.Root(), "warm", 21); err != nil {
		fmt.Println(err)
	}
	show()
	_ = conn.Close(ctx)
	_, stale := thermometer.Stale()
	fmt.Println("stale:", stale)
	show()
	// Output:
	// 0 degrees
	// 21 degrees
	// stale: true
	// 21 degrees
}
