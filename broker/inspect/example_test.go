package inspect_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/broker/inspect"
	"github.com/perspectivebroker/pb/flavors"
)

// Counter is an object that clients call.
type Counter struct {
	flavors.Root
	n int
}

// RemoteIncr adds to the count.
func (c *Counter) RemoteIncr(by int) int { c.n += by; return c.n }

// The inspector at an address of its own. Its page is at the URL; the same as data is at json below it.
func ExampleListen() {
	ctx := context.Background()
	rt, err := actor.NewRuntime()
	if err != nil {
		log.Fatal(err)
	}
	defer rt.Close(ctx)
	inspector, err := inspect.Listen(rt, "127.0.0.1:0") // a program would choose a port
	if err != nil {
		log.Fatal(err)
	}
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", &Counter{})
	if err != nil {
		log.Fatal(err)
	}
	conn, err := broker.Dial(ctx, rt, ln.URL())
	if err != nil {
		log.Fatal(err)
	}
	if _, err := flavors.Call[int](ctx, conn.Root(), "incr", 2); err != nil {
		log.Fatal(err)
	}

	resp, err := http.Get(inspector.URL() + "/json")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	var s inspect.Snapshot
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		log.Fatal(err)
	}
	fmt.Println("connections:", s.Totals.Open)
	for _, o := range s.Objects {
		fmt.Println("object:", o.Type)
	}
	for _, m := range s.Methods {
		if m.Incoming {
			fmt.Printf("method: %s.%s, called %d times\n", m.Type, m.Method, m.Made)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	// Output:
	// connections: 2
	// object: Counter
	// method: Counter.incr, called 1 times
}

// staffOnly stands for the authentication of an application.
func staffOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, _, ok := r.BasicAuth(); !ok || user != "ann" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// The inspector in a server of the application, behind the application's own authentication.
func ExampleHandler() {
	var rt *actor.Runtime // of the application
	http.Handle("/debug/pb/", staffOnly(inspect.Handler(rt)))
}
