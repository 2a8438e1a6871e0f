package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// Receiver is the receiver's root object. It observes one pond.
type Receiver struct {
	flavors.Root
	pond     *flavors.Cached[SlaveDuckPond]
	once     sync.Once
	shutdown chan struct{}
}

var errNoPond = errors.New("there is no pond to look at")

// RemoteTakePond receives a cache of the pond.
func (r *Receiver) RemoteTakePond(pond *flavors.Cached[SlaveDuckPond]) error {
	r.drop()
	r.pond = pond
	fmt.Println("got pond:", pond)
	return r.RemoteCheckDucks()
}

// RemoteCheckDucks prints what is in the pond.
func (r *Receiver) RemoteCheckDucks() error {
	if r.pond == nil {
		return errNoPond
	}
	return r.pond.View((*SlaveDuckPond).show)
}

// RemoteIgnorePond releases the cache, and the sender is told.
func (r *Receiver) RemoteIgnorePond() {
	fmt.Println("dropping pond")
	r.drop()
}

func (r *Receiver) drop() {
	if r.pond != nil {
		r.pond.Release()
		r.pond = nil
	}
}

// RemoteShutdown ends the program once its answer is on its way.
func (r *Receiver) RemoteShutdown() { r.once.Do(func() { close(r.shutdown) }) }

func receive(ctx context.Context, rt *actor.Runtime, url string) error {
	known := jelly.NewRegistry()
	if err := flavors.RegisterCache[SlaveDuckPond](known, masterClass); err != nil {
		return err
	}
	receiver := &Receiver{shutdown: make(chan struct{})}
	ln, err := broker.Listen(rt, url, receiver, broker.WithRegistry(known))
	if err != nil {
		return err
	}
	fmt.Println("listening", ln.URL())
	select {
	case <-ctx.Done():
	case <-receiver.shutdown:
	}
	return nil
}

// SlaveDuckPond is the cache of a MasterDuckPond. Its updates run one at a time, in its own actor.
type SlaveDuckPond struct {
	flavors.RemoteCache
	ducks []string
}

// SetCopyableState sets the initial state.
func (p *SlaveDuckPond) SetCopyableState(state any) error {
	fmt.Println(" cache - sitting, er, setting ducks")
	return jelly.Assign(&p.ducks, state)
}

// ObserveAddDuck handles the update addDuck.
func (p *SlaveDuckPond) ObserveAddDuck(duck string) {
	fmt.Println(" cache - addDuck")
	p.ducks = append(p.ducks, duck)
}

// ObserveRemoveDuck handles the update removeDuck.
func (p *SlaveDuckPond) ObserveRemoveDuck(duck string) {
	fmt.Println(" cache - removeDuck")
	if i := slices.Index(p.ducks, duck); i >= 0 {
		p.ducks = slices.Delete(p.ducks, i, i+1)
	}
}

// show prints the ducks as the stock program does.
func (p *SlaveDuckPond) show() {
	quoted := make([]string, len(p.ducks))
	for i, d := range p.ducks {
		quoted[i] = "'" + d + "'"
	}
	fmt.Printf("[%d] ducks:  [%s]\n", len(p.ducks), strings.Join(quoted, ", "))
}
