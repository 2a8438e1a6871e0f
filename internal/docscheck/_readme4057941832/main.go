package main

import (
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"context"
	"github.com/perspectivebroker/pb/actor"
)

type Counter struct {
	flavors.Referenceable
	n int
}

func (c *Counter) RemoteIncr(by int) int { c.n += by; return c.n } // in the counter's own turn: no lock

func serve(rt *actor.Runtime) (*broker.Listener, error) {
	return broker.Listen(rt, "pb://127.0.0.1:8800", &Counter{})
}

func call(ctx context.Context, rt *actor.Runtime) (int, error) {
	conn, err := broker.Dial(ctx, rt, "pb://127.0.0.1:8800")
	if err != nil {
		return 0, err
	}
	return flavors.Call[int](ctx, conn.Root(), "incr", 2)
}

func main() {}
