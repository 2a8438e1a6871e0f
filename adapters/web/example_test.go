package web_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/adapters/web"
	"github.com/perspectivebroker/pb/broker"
	"github.com/rs/zerolog"
)

// A back and a front in one program.
func Example() {
	rt, err := actor.NewRuntime(actor.WithLogger(zerolog.Nop()))
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = rt.Close(context.Background()) }()

	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "hello from", r.URL.Path) })
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", web.Publish(hello))
	if err != nil {
		log.Fatal(err)
	}
	client, err := broker.Reconnect[any](rt, ln.URL(), nil)
	if err != nil {
		log.Fatal(err)
	}
	front := httptest.NewServer(web.Mount(client, web.WithPrefix("/site")))
	defer front.Close()

	resp, err := http.Get(front.URL + "/site/page")
	if err != nil {
		log.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	fmt.Print(resp.Status, ": ", string(body))
	_ = errors.Join(err, resp.Body.Close())
	// Output: 200 OK: hello from /page
}
