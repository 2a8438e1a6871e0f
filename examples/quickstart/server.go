package main

import (
	"context"
	"fmt"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/broker/inspect"
	"github.com/perspectivebroker/pb/flavors"
)

// Calculator is the published object. The wire's "add" is its method RemoteAdd.
type Calculator struct{ flavors.Root }

// RemoteAdd runs in Calculator's own actor, one call at a time.
func (*Calculator) RemoteAdd(one, two int) int {
	answer := one + two
	fmt.Println("returning result:", answer)
	return answer
}

// RemoteSubtract returns a - b.
func (*Calculator) RemoteSubtract(one, two int) int { return one - two }

// RemoteCounter returns a new object, which lives as long as the caller holds it.
func (*Calculator) RemoteCounter() *Counter { return &Counter{} }

// Counter is passed by reference.
type Counter struct {
	flavors.Referenceable
	n int
}

// RemoteIncr needs no lock: the methods of an object never run at the same time.
func (c *Counter) RemoteIncr(by int) int {
	c.n += by
	return c.n
}

func listen(rt *actor.Runtime, url string) (*broker.Listener, error) {
	ln, err := broker.Listen(rt, url, &Calculator{})
	if err == nil {
		fmt.Println("listening", ln.URL())
	}
	return ln, err
}

// serve also shows the program at an address for a browser, unless that is empty.
func serve(ctx context.Context, rt *actor.Runtime, url, inspectAt string) error {
	if _, err := listen(rt, url); err != nil {
		return err
	}
	if inspectAt != "" {
		inspector, err := inspect.Listen(rt, inspectAt)
		if err != nil {
			return err
		}
		fmt.Println("inspector", inspector.URL())
	}
	<-ctx.Done()
	return nil
}
