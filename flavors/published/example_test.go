package published_test

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/flavors/published"
)

// Almanac is published. Readers keep it until there is a new one.
type Almanac struct {
	published.Publishable
	Text string `pb:"text"`
}

func (*Almanac) TypeToCopy() string  { return "weather.Almanac" }
func (*Almanac) PublishedID() string { return "almanac" }

// KeptAlmanac is the local copy of an Almanac.
type KeptAlmanac struct {
	published.Remote
	Text string `pb:"text"`
}

// Library publishes the Almanac.
type Library struct {
	flavors.Root
	almanac Almanac
}

func (l *Library) RemoteAlmanac() *Almanac { return &l.almanac }

// memory is a store that lasts as long as the program. published.NewDir makes one that lasts longer.
type memory map[published.Key][]byte

func (m memory) Load(key published.Key) ([]byte, error) {
	data, ok := m[key]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return data, nil
}

func (m memory) Save(key published.Key, data []byte) error { m[key] = data; return nil }

// The state is fetched once, and again after a Republish.
func Example() {
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
	if err := published.Register[KeptAlmanac](known, "weather.Almanac", memory{}); err != nil {
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
		v, err := published.WhenReady(conn.Root().CallRemote("almanac")).Await(ctx)
		if err != nil {
			fmt.Println(err)
			return
		}
		_ = v.(*flavors.Cached[KeptAlmanac]).View(func(a *KeptAlmanac) {
			fmt.Println(a.Text, "- from the store:", a.WasCleanWhenLoaded())
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
	// a mild winter - from the store: false
	// a mild winter - from the store: true
	// a hot summer - from the store: false
}
