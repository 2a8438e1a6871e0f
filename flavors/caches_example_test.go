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

// Set changes it, wherever it is followed.
func (t *Thermometer) Set(degrees int) *actor.Deferred {
	return flavors.Update(t, func(observers flavors.Observers) {
		t.Degrees = degrees
		_ = observers.CallRemote("set", degrees)
	})
}

// ThermometerCopy follows a Thermometer.
type ThermometerCopy struct {
	flavors.RemoteCache
	Degrees int `pb:"degrees"`
}

func (t *ThermometerCopy) ObserveSet(degrees int) { t.Degrees = degrees }

// Station gives its thermometer to whoever asks.
type Station struct {
	flavors.Root
	thermometer Thermometer
}

func (s *Station) RemoteThermometer() *Thermometer        { return &s.thermometer }
func (s *Station) RemoteWarm(degrees int) *actor.Deferred { return s.thermometer.Set(degrees) }

// A cache follows its original: what the server changes shows in the client's copy.
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

// Almanac is published: whoever has read it keeps it until there is a new one.
type Almanac struct {
	flavors.Publishable
	Text string `pb:"text"`
}

func (*Almanac) TypeToCopy() string  { return "weather.Almanac" }
func (*Almanac) PublishedID() string { return "almanac" }

// KeptAlmanac is a kept one.
type KeptAlmanac struct {
	flavors.RemotePublished
	Text string `pb:"text"`
}

// Library publishes it.
type Library struct {
	flavors.Root
	almanac Almanac
}

func (l *Library) RemoteAlmanac() *Almanac { return &l.almanac }

// memory keeps what is published as long as the program runs; flavors.NewPublishedDir keeps it longer.
type memory struct{ shelf }

// What is published is fetched once, and again when it was published anew.
func Example_published() {
	ctx := context.Background()
	rt, err := actor.NewRuntime()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer rt.Close(ctx)
	library := &Library{almanac: Almanac{Text: "a mild winter"}}
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", library)
	if err != nil {
		fmt.Println(err)
		return
	}
	known := jelly.NewRegistry()
	if err := flavors.RegisterPublished[KeptAlmanac](known, "weather.Almanac", &memory{}); err != nil {
		fmt.Println(err)
		return
	}
	read := func() {
		conn, err := broker.Dial(ctx, rt, ln.URL(), broker.WithRegistry(known))
		if err != nil {
			fmt.Println(err)
			return
		}
		defer conn.Close(ctx)
		v, err := flavors.WhenReady(conn.Root().CallRemote("almanac")).Await(ctx)
		if err != nil {
			fmt.Println(err)
			return
		}
		_ = v.(*flavors.Cached[KeptAlmanac]).View(func(a *KeptAlmanac) {
			fmt.Println(a.Text, "- kept from before:", a.WasCleanWhenLoaded())
		})
	}
	read()
	read()
	flavors.Update(&library.almanac, func(flavors.Observers) {
		library.almanac.Text = "a hot summer"
		library.almanac.Republish()
	})
	read()
	// Output:
	// a mild winter - kept from before: false
	// a mild winter - kept from before: true
	// a hot summer - kept from before: false
}
