package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
)

func call(ctx context.Context, rt *actor.Runtime, url string) error {
	conn, err := broker.Dial(ctx, rt, url)
	if err != nil {
		return err
	}
	root := conn.Root()
	fmt.Println("got object:", root)

	fmt.Println("asking it to add")
	sum, err := flavors.Call[int](ctx, root, "add", 1, 2)
	if err != nil {
		return err
	}
	fmt.Println("addition complete, result is", sum)

	fmt.Println("now trying subtract")
	difference, err := flavors.Call[int](ctx, root, "subtract", 5, 12)
	if err != nil {
		return err
	}
	fmt.Println("subtraction result is", difference)

	if err := count(ctx, root); err != nil {
		return err
	}
	fmt.Println("shutting down")
	return conn.Close(ctx)
}

// count uses an object of the server's. A stock server of the same name may not have it.
func count(ctx context.Context, root *flavors.RemoteReference) error {
	counter, err := flavors.Call[*flavors.RemoteReference](ctx, root, "counter")
	if errors.Is(err, flavors.NoSuchMethod) {
		return nil
	}
	if err != nil {
		return err
	}
	defer counter.Release()
	n, err := flavors.Call[int](ctx, counter, "incr", 2)
	if err != nil {
		return err
	}
	fmt.Println("counted to", n, "with", counter)
	return nil
}
