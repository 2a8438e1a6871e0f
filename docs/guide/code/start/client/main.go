// Client calls a counter.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
)

func main() {
	url := flag.String("connect", "pb://127.0.0.1:8800", "the `URL` of the server")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	rt, err := actor.NewRuntime()
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = rt.Close(context.Background()) }()

	conn, err := broker.Dial(ctx, rt, *url)
	if err != nil {
		log.Fatal(err)
	}
	n, err := flavors.Call[int](ctx, conn.Root(), "incr", 2)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("counted to", n)

	_, err = flavors.Call[int](ctx, conn.Root(), "incr", -1)
	fmt.Println("refused:", errors.Is(err, flavors.ValueError), err)
}
