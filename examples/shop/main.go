// Shop has typed stubs: pb gen makes the clients and servers of its interfaces, for Go and for Twisted.
//
//	go run ./examples/shop server -listen pb://127.0.0.1:8800
//	go run ./examples/shop client -connect pb://127.0.0.1:8800
//
// The interfaces are in shop.go, the generated code in shop_pb.go and shop_pb.py.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/program"
)

func main() { program.Main("shop", run) }

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("say server -listen URL, or client -connect URL")
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	switch args[0] {
	case "server":
		listen := flags.String("listen", "pb://127.0.0.1:8800", "the `URL` to listen at; port 0 picks a free one")
		if err := program.Parse(flags, args[1:]); err != nil {
			return err
		}
		return program.WithRuntime(func(rt *actor.Runtime) error { return serve(ctx, rt, *listen) })
	case "client":
		connect := flags.String("connect", "pb://127.0.0.1:8800", "the `URL` of the server")
		if err := program.Parse(flags, args[1:]); err != nil {
			return err
		}
		return program.WithRuntime(func(rt *actor.Runtime) error { return buy(ctx, rt, *connect) })
	}
	return fmt.Errorf("there is no %q; say server or client", args[0])
}

func serve(ctx context.Context, rt *actor.Runtime, url string) error {
	ln, err := broker.Listen(rt, url, NewShopServer(newShop()), broker.WithDescribe())
	if err != nil {
		return err
	}
	fmt.Println("listening", ln.URL())
	<-ctx.Done()
	return nil
}

// buyer prints what it is told.
type buyer struct{ told chan struct{} }

func (b *buyer) PriceChanged(_ context.Context, name string, cents int) error {
	fmt.Println(name, "costs", cents, "now")
	close(b.told)
	return nil
}

func buy(ctx context.Context, rt *actor.Runtime, url string) error {
	registry := jelly.NewRegistry()
	if err := RegisterShopClasses(registry); err != nil {
		return err
	}
	conn, err := broker.Dial(ctx, rt, url, broker.WithRegistry(registry))
	if err != nil {
		return err
	}
	return errors.Join(buyFrom(ctx, NewShopClient(conn.Root())), conn.Close(ctx))
}

// buyFrom is the same for a shop of this program and one at the other end of a connection.
func buyFrom(ctx context.Context, shop Shop) error {
	tea, err := shop.Find(ctx, "tea")
	if err != nil {
		return err
	}
	cents, err := shop.Order(ctx, tea, 2, OrderOptions{Gift: true, Discount: 5})
	if err != nil {
		return err
	}
	n, more, err := shop.Stock(ctx, "tea")
	if err != nil {
		return err
	}
	fmt.Println("2 of", tea.Name, "for", cents, "cents;", n, "left; more on their way:", more)
	prices, err := shop.Prices(ctx, "tea", "milk")
	if err != nil {
		return err
	}
	fmt.Println("prices:", prices)
	b := &buyer{make(chan struct{})}
	if err := shop.Subscribe(ctx, b); err != nil {
		return err
	}
	if err := shop.SetPrice(ctx, "tea", 350); err != nil {
		return err
	}
	select {
	case <-b.told:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
