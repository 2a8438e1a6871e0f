package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
)

// Receiver is the receiver's root object.
type Receiver struct {
	flavors.Root
	once     sync.Once
	shutdown chan struct{}
}

// RemoteTakePond receives a pond of a registered class.
func (*Receiver) RemoteTakePond(pond any) (string, error) {
	fmt.Printf(" got pond: %T\n", pond)
	switch p := pond.(type) {
	case *ReceivedCopyPond:
		fmt.Printf("%d frogs\n", p.NumFrogs)
	case *ReceiverPond:
		fmt.Printf(" count %d\n", p.frogsAndToads)
	default:
		return "", flavors.TypeError.Errorf("this is no pond")
	}
	return "safe and sound", nil
}

// RemoteShutdown ends the program once its answer is on its way.
func (r *Receiver) RemoteShutdown() { r.once.Do(func() { close(r.shutdown) }) }

func receive(ctx context.Context, rt *actor.Runtime, url string) error {
	known, err := classes()
	if err != nil {
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
