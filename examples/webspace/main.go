// Webspace serves HTTP over Perspective Broker, as twisted.web.distrib does: a front takes requests, a back answers
// them. Either end may be a stock Twisted program.
//
//	go run ./examples/webspace back -listen pb+unix:///tmp/site.sock -dir public_html
//	go run ./examples/webspace front -listen 127.0.0.1:8080 -back pb+unix:///tmp/site.sock -mount /site
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/adapters/web"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/internal/program"
	"github.com/perspectivebroker/pb/supervision"
)

func main() { program.Main("webspace", run) }

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("say back -listen URL -dir DIR, or front -listen HOST:PORT -back URL")
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	switch args[0] {
	case "back":
		listen := flags.String("listen", "pb://127.0.0.1:8800", "the `URL` to listen at; port 0 picks a free one")
		dir := flags.String("dir", ".", "the `directory` whose files are served below /files/")
		if err := program.Parse(flags, args[1:]); err != nil {
			return err
		}
		return program.WithRuntime(func(rt *actor.Runtime) error { return back(ctx, rt, *listen, *dir) })
	case "front":
		listen := flags.String("listen", "127.0.0.1:8080", "the `host:port` to serve HTTP at; port 0 picks a free one")
		back := flags.String("back", "pb://127.0.0.1:8800", "the `URL` of the back")
		mount := flags.String("mount", "/", "the `path` below which requests go to the back")
		if err := program.Parse(flags, args[1:]); err != nil {
			return err
		}
		return program.WithRuntime(func(rt *actor.Runtime) error { return front(ctx, rt, *listen, *back, *mount) })
	}
	return fmt.Errorf("there is no %q; say back or front", args[0])
}

// limits allow for thousands of requests at once. Each request is an object of the front, and a slow one a producer of
// the back. Stock peers release them late.
var limits = broker.WithLimits(broker.Limits{Exports: 1 << 16, Imports: 1 << 17})

// keepalive notices a peer that has vanished or hangs.
var keepalive = broker.WithKeepalive(15*time.Second, 15*time.Second)

// back publishes the site until ctx ends.
func back(ctx context.Context, rt *actor.Runtime, listen, dir string) error {
	handler, err := site(dir)
	if err != nil {
		return err
	}
	ln, err := broker.Listen(rt, listen, web.Publish(handler), limits, keepalive)
	if err != nil {
		return err
	}
	fmt.Println("listening", ln.URL())
	<-ctx.Done()
	return nil
}

// front serves HTTP until ctx ends.
func front(ctx context.Context, rt *actor.Runtime, listen, back, mount string) error {
	// A back that returns is to be found soon.
	again := broker.WithBackoff(supervision.Backoff{Min: 50 * time.Millisecond, Max: 250 * time.Millisecond})
	client, err := broker.Reconnect[any](rt, back, nil, limits, keepalive, again)
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           web.Mount(client, web.WithPrefix(mount)),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute, // of a request, which is short
	}
	fmt.Printf("listening http://%s\n", ln.Addr())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ln) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if server.Shutdown(grace) != nil {
		return server.Close() // A client that stays is cut off.
	}
	return nil
}
