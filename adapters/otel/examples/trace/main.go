// Command trace shows one trace across three processes. A customer orders from a shop, and the shop takes what was
// ordered from a warehouse. Each process writes its spans as JSON to standard error; no collector is needed.
//
//	go run ./examples/trace -role warehouse                   # prints "listening pb://…"
//	go run ./examples/trace -role shop -warehouse pb://…      # likewise
//	go run ./examples/trace -role customer -shop pb://…
//
// The servers run until they are interrupted.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/adapters/otel"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "trace:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("trace", flag.ContinueOnError)
	role := flags.String("role", "", "warehouse, shop or customer")
	warehouse := flags.String("warehouse", "", "URL of the warehouse, for a shop")
	shop := flags.String("shop", "", "URL of the shop, for a customer")
	if err := flags.Parse(args); err != nil {
		return err
	}
	provider, err := newProvider(*role)
	if err != nil {
		return err
	}
	rt, err := actor.NewRuntime()
	if err != nil {
		return err
	}
	defer func() {
		// The runtime first: calls end with it, and with them spans.
		err = errors.Join(err, rt.Close(context.Background()), provider.Shutdown(context.Background()))
	}()
	tracing := broker.WithInterceptor(otel.Interceptor(otel.WithTracerProvider(provider)))
	switch *role {
	case "warehouse":
		return serve(ctx, rt, &Warehouse{stock: 2}, tracing)
	case "shop":
		conn, err := broker.Dial(ctx, rt, *warehouse, tracing)
		if err != nil {
			return err
		}
		return serve(ctx, rt, &Shop{warehouse: conn.Root()}, tracing)
	case "customer":
		return order(ctx, rt, *shop, provider, tracing)
	}
	return fmt.Errorf("-role is warehouse, shop or customer, not %q", *role)
}

// newProvider returns a provider that writes each span when it ends.
func newProvider(role string) (*sdktrace.TracerProvider, error) {
	exporter, err := stdouttrace.New(stdouttrace.WithWriter(os.Stderr))
	if err != nil {
		return nil, err
	}
	return sdktrace.NewTracerProvider(
		sdktrace.WithSyncer(exporter), // Use WithBatcher in production.
		sdktrace.WithResource(resource.NewSchemaless(semconv.ServiceName(role))),
	), nil
}

func serve(ctx context.Context, rt *actor.Runtime, root any, tracing broker.Option) error {
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", root, tracing)
	if err != nil {
		return err
	}
	fmt.Println("listening", ln.URL())
	<-ctx.Done()
	return nil
}

// Warehouse hands out goods.
type Warehouse struct {
	flavors.Root
	stock int
}

// RemoteTake takes one item from the stock.
func (w *Warehouse) RemoteTake(what string) (string, error) {
	if w.stock == 0 {
		return "", flavors.PBError.New("no " + what + " left")
	}
	w.stock--
	return "a box of " + what, nil
}

// Shop sells what the warehouse has.
type Shop struct {
	flavors.Root
	warehouse *flavors.RemoteReference
}

//guide:begin order

// RemoteOrder gets what is ordered from the warehouse. Its ctx carries the trace to the call.
func (s *Shop) RemoteOrder(ctx context.Context, what string) *actor.Deferred {
	return flavors.Start(ctx, s.warehouse, "take", what)
}

//guide:end

// order places one order, within a span of the application's.
func order(
	ctx context.Context, rt *actor.Runtime, url string, provider *sdktrace.TracerProvider, tracing broker.Option,
) error {
	conn, err := broker.Dial(ctx, rt, url, tracing)
	if err != nil {
		return err
	}
	ctx, span := provider.Tracer("customer").Start(ctx, "shopping")
	defer span.End()
	box, err := flavors.Call[string](ctx, conn.Root(), "order", "plums")
	if err != nil {
		return err
	}
	fmt.Println("got", box)
	return nil
}
