package flavors_test

import (
	"context"
	"fmt"
	"sync"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// source stands for the original of a server at its gateways.
type source struct {
	flavors.Referenceable
	original *Thermometer

	mu        sync.Mutex
	followers map[*flavors.RemoteReference]*flavors.Follower // by the feeds of gateways
}

// ReferenceClass is how gateways know what it is.
func (*source) ReferenceClass() (string, []any) { return "weather.Source", nil }

// RemoteState is called by the CacheRelay of a gateway when it needs the state.
func (s *source) RemoteState(feed *flavors.RemoteReference) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.followers[feed] == nil {
		f, err := flavors.Follow(s.original, feed, nil)
		if err != nil {
			return err
		}
		s.followers[feed] = f
	}
	s.followers[feed].SendState()
	return nil
}

// RemoteStop is called when no client of the gateway has a copy.
func (s *source) RemoteStop(feed *flavors.RemoteReference) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.followers[feed].Stop()
	delete(s.followers, feed)
}

// mirror is the root of a gateway: it has what its clients get in place of a source.
type mirror struct {
	flavors.Root
	thermometer *flavors.CacheRelay
}

func (m *mirror) RemoteThermometer() *flavors.CacheRelay { return m.thermometer }

// A gateway passes a Cacheable of a server on to its own clients. It needs no class of it. State and updates come once,
// whatever number of clients have a copy.
func ExampleCacheRelay() {
	ctx := context.Background()
	rt, err := actor.NewRuntime()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer rt.Close(ctx)

	// The server has a source sent in place of its original.
	station := &Station{}
	sent := &source{original: &station.thermometer, followers: map[*flavors.RemoteReference]*flavors.Follower{}}
	instead := broker.Substitutes{
		Cacheable: func(original, _ any) any { return sent },
		Home:      func(object any) any { return originalOf(object) },
	}
	options := broker.WithOptions(broker.WithRelaying(), broker.WithSubstitutes(instead))
	server, err := broker.Listen(rt, "pb://127.0.0.1:0", station, options)
	if err != nil {
		fmt.Println(err)
		return
	}

	// The gateway makes a CacheRelay of the source.
	registry := jelly.NewRegistry()
	if err := flavors.RegisterReference(registry, "weather.Source"); err != nil {
		fmt.Println(err)
		return
	}
	up, err := broker.Dial(ctx, rt, server.URL(), broker.WithRelaying(), broker.WithRegistry(registry))
	if err != nil {
		fmt.Println(err)
		return
	}
	ref, err := flavors.Call[*flavors.RemoteReference](ctx, up.Root(), "thermometer")
	if err != nil {
		fmt.Println(err)
		return
	}
	done, err := flavors.Retain(ref) // as long as the CacheRelay is in use
	if err != nil {
		fmt.Println(err)
		return
	}
	defer done()
	relay, err := flavors.NewCacheRelay("weather.Thermometer", ref)
	if err != nil {
		fmt.Println(err)
		return
	}
	gateway, err := broker.Listen(rt, "pb://127.0.0.1:0", &mirror{thermometer: relay}, broker.WithRelaying())
	if err != nil {
		fmt.Println(err)
		return
	}

	// A client of the gateway has a copy that follows the original.
	known := jelly.NewRegistry()
	if err := flavors.RegisterCache[ThermometerCopy](known, "weather.Thermometer"); err != nil {
		fmt.Println(err)
		return
	}
	client, err := broker.Dial(ctx, rt, gateway.URL(), broker.WithRegistry(known))
	if err != nil {
		fmt.Println(err)
		return
	}
	followed, err := flavors.Call[*flavors.Cached[ThermometerCopy]](ctx, client.Root(), "thermometer")
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := flavors.Call[any](ctx, up.Root(), "warm", 21); err != nil {
		fmt.Println(err)
		return
	}
	_, _ = station.thermometer.Do(func() {}).Await(ctx)
	_, _ = flavors.Call[any](ctx, up.Root(), "warm", 21) // Its answer follows the update of the gateway.
	_, _ = flavors.Call[any](ctx, client.Root(), "thermometer")
	_ = followed.View(func(t *ThermometerCopy) { fmt.Println(t.Degrees, "degrees") })
	// Output: 21 degrees
}

// originalOf returns what a source stands for.
func originalOf(object any) any {
	if s, ok := object.(*source); ok {
		return s.original
	}
	return nil
}
