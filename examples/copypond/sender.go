package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
)

func send(ctx context.Context, rt *actor.Runtime, url string, copy2 bool) error {
	var pond any
	if copy2 {
		p := &SenderPond{numFrogs: 3, numToads: 4}
		fmt.Printf("count %d\n", p.Count())
		pond = p
	} else {
		p := &CopyPond{Color: "green", NumFrogs: 7}
		p.CountFrogs()
		fmt.Println(p.TypeToCopy())
		pond = p
	}
	conn, err := broker.Dial(ctx, rt, url)
	if err != nil {
		return err
	}
	response, err := flavors.Call[string](ctx, conn.Root(), "takePond", pond)
	switch {
	case errors.Is(err, flavors.InsecureJelly):
		fmt.Println("error during takePond:")
		fmt.Println(" InsecureJelly")
	case err != nil:
		fmt.Println("error during takePond:")
		fmt.Println(err)
	default:
		fmt.Println("pond arrived", response)
	}
	return conn.Close(ctx)
}
