package main

import (
	"context"
	"fmt"
	"slices"

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

// masterClass is the class name of the stock program.
const masterClass = "cache_classes.MasterDuckPond"

// MasterDuckPond is the original. Changes go through flavors.Update, which runs in the pond's own actor.
type MasterDuckPond struct {
	flavors.Cacheable
	ducks []string
}

// TypeToCopy implements the flavor's class name.
func (*MasterDuckPond) TypeToCopy() string { return masterClass }

// StateToCacheAndObserveFor returns the initial state for a new observer. The library keeps the observers.
func (p *MasterDuckPond) StateToCacheAndObserveFor(any, *flavors.Observer) any { return p.ducks }

// Count prints the number of ducks.
func (p *MasterDuckPond) Count() { fmt.Printf("I have [%d] ducks\n", len(p.ducks)) }

// AddDuck adds a duck to the pond and its caches. The Deferred completes when the update is on its way.
func (p *MasterDuckPond) AddDuck(duck string) *actor.Deferred {
	return flavors.Update(p, func(observers flavors.Observers) {
		p.ducks = append(p.ducks, duck)
		report(observers.CallRemote("addDuck", duck))
		p.Count()
	})
}

// RemoveDuck removes a duck from the pond and its caches.
func (p *MasterDuckPond) RemoveDuck(duck string) *actor.Deferred {
	return flavors.Update(p, func(observers flavors.Observers) {
		if i := slices.Index(p.ducks, duck); i >= 0 {
			p.ducks = slices.Delete(p.ducks, i, i+1)
			report(observers.CallRemote("removeDuck", duck))
		}
		p.Count()
	})
}

func report(err error) {
	if err != nil {
		fmt.Println("an update could not be sent:", err)
	}
}
