package broker_test

import (
	"context"
	"expvar"
	"fmt"
	"log"
	"net/http"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
)

func ExampleStatsOf() {
	ctx := context.Background()
	rt, err := actor.NewRuntime()
	if err != nil {
		log.Fatal(err)
	}
	defer rt.Close(ctx)
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", &Account{})
	if err != nil {
		log.Fatal(err)
	}
	conn, err := broker.Dial(ctx, rt, ln.URL())
	if err != nil {
		log.Fatal(err)
	}
	_, _ = flavors.Call[int](ctx, conn.Root(), "deposit", 100)
	_, _ = flavors.Call[int](ctx, conn.Root(), "withdraw", 500)
	_, _ = flavors.Call[any](ctx, conn.Published("vault"), "open")

	fmt.Printf("%+v\n", conn.Stats().CallsOut)
	all := broker.StatsOf(rt)
	fmt.Println(all.Conns.Accepted, all.Conns.Dialed, all.Conns.Open)
	for rejection, n := range all.Refusals {
		fmt.Println(rejection, n)
	}
	// Output:
	// {Made:3 Answered:1 Failed:2 Cancelled:0 Pending:0}
	// 1 1 2
	// unknown object 1
}

// A runtime's figures at /debug/vars, where expvar shows what it knows.
func ExampleStatsOf_expvar() {
	var rt *actor.Runtime
	expvar.Publish("pb", expvar.Func(func() any { return broker.StatsOf(rt) }))
}

// A runtime's figures for Prometheus, in its text format and without its library.
func ExampleStatsOf_prometheus() {
	var rt *actor.Runtime
	http.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
		s := broker.StatsOf(rt)
		fmt.Fprintf(
			w,
			"pb_connections_open %d\npb_calls_in_total %d\npb_bytes_held %d\n",
			s.Conns.Open,
			s.CallsIn.Made,
			s.BytesHeld,
		)
		for rejection, n := range s.Refusals {
			fmt.Fprintf(w, "pb_refusals_total{reason=%q} %d\n", rejection, n)
		}
	})
}
