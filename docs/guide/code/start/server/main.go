// Server publishes a counter.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
)

// Counter is sent by reference. Peers call its methods whose names begin with Remote.
type Counter struct {
	flavors.Referenceable
	n int
}

// RemoteIncr is called "incr" on the wire. Calls run one at a time, so n needs no lock.
func (c *Counter) RemoteIncr(by int) (int, error) {
	if by < 0 {
		return 0, flavors.ValueError.Errorf("cannot count by %d", by)
	}
	c.n += by
	return c.n, nil
}

func main() {
	url := flag.String("listen", "pb://127.0.0.1:8800", "the `URL` to listen at")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	rt, err := actor.NewRuntime()
	if err != nil {
		log.Fatal(err)
	}
	ln, err := broker.Listen(rt, *url, &Counter{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening at", ln.URL())

	<-ctx.Done() // Ctrl-C
	if err := rt.Close(context.Background()); err != nil {
		log.Fatal(err)
	}
}
