package main

import (
	"context"
	"fmt"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
)

func send(ctx context.Context, rt *actor.Runtime, url string) error {
	pond := &MasterDuckPond{ducks: []string{"one duck", "two duck"}}
	pond.Count()
	conn, err := broker.Dial(ctx, rt, url)
	if err != nil {
		return err
	}
	tell := func(method string, args ...any) error {
		if _, err := flavors.Call[any](ctx, conn.Root(), method, args...); err != nil {
			return fmt.Errorf("%s: %w", method, err)
		}
		return nil
	}
	if err := tell("takePond", pond); err != nil {
		return err
	}
	if _, err := pond.AddDuck("ugly duckling").Await(ctx); err != nil {
		return err
	}
	if err := tell("checkDucks"); err != nil {
		return err
	}
	if _, err := pond.RemoveDuck("one duck").Await(ctx); err != nil {
		return err
	}
	if err := tell("checkDucks"); err != nil {
		return err
	}
	if err := tell("ignorePond"); err != nil {
		return err
	}
	if err := tell("shutdown"); err != nil {
		return err
	}
	return conn.Close(ctx)
}
