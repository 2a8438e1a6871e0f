package broker_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"slices"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
)

// till is what the examples of interceptors call.
type till struct {
	flavors.Referenceable
	balance int
	busy    int // how many calls are refused before one is taken
}

func (b *till) RemoteBalance() (int, error) {
	if b.busy > 0 {
		b.busy--
		return 0, broker.Busy.New("try again")
	}
	return b.balance, nil
}

func (b *till) RemoteDeposit(n int) int { b.balance += n; return b.balance }

// connectTo serves root with an interceptor, and connects to it with another. Either may be nil.
func connectTo(rt *actor.Runtime, root any, server, client flavors.Interceptor) *flavors.RemoteReference {
	with := func(i flavors.Interceptor) broker.Option {
		if i == nil {
			return nil
		}
		return broker.WithInterceptor(i)
	}
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", root, with(server))
	if err != nil {
		log.Fatal(err)
	}
	conn, err := broker.Dial(context.Background(), rt, ln.URL(), with(client))
	if err != nil {
		log.Fatal(err)
	}
	return conn.Root()
}

// An interceptor lets calls pass that carry a token. Another adds the token to calls.
func ExampleWithInterceptor_auth() {
	rt, err := actor.NewRuntime()
	if err != nil {
		log.Fatal(err)
	}
	defer rt.Close(context.Background())

	check := flavors.InterceptorFunc(func(next flavors.CallFunc) flavors.CallFunc {
		return func(ctx context.Context, call *flavors.CallInfo) (any, error) {
			if call.Incoming() && call.Metadata()["token"] != "sesame" {
				return nil, flavors.PBError.New("the token is missing or wrong")
			}
			return next(ctx, call)
		}
	})
	token := flavors.InterceptorFunc(func(next flavors.CallFunc) flavors.CallFunc {
		return func(ctx context.Context, call *flavors.CallInfo) (any, error) {
			if !call.Incoming() {
				ctx = flavors.WithMetadata(ctx, flavors.Metadata{"token": "sesame"})
			}
			return next(ctx, call)
		}
	})

	ctx := context.Background()
	_, err = flavors.Call[int](ctx, connectTo(rt, &till{}, check, nil), "deposit", 5)
	fmt.Println(err)
	fmt.Println(flavors.Call[int](ctx, connectTo(rt, &till{}, check, token), "deposit", 5))
	// Output:
	// twisted.spread.pb.Error: the token is missing or wrong
	// 5 <nil>
}

// An interceptor logs each call and how it ended. It writes no arguments, which may be secret.
func ExampleWithInterceptor_logging() {
	rt, err := actor.NewRuntime()
	if err != nil {
		log.Fatal(err)
	}
	defer rt.Close(context.Background())

	logging := flavors.InterceptorFunc(func(next flavors.CallFunc) flavors.CallFunc {
		return func(ctx context.Context, call *flavors.CallInfo) (any, error) {
			v, err := next(ctx, call)
			return flavors.WhenDone(v, err, func(v any, err error) (any, error) {
				fmt.Printf("incoming=%t %v %d arguments, failed: %t\n", call.Incoming(), call, len(call.Args()), err != nil)
				return v, err
			})
		}
	})
	root := connectTo(rt, &till{}, logging, logging)
	_, _ = flavors.Call[int](context.Background(), root, "deposit", 5)
	_, _ = flavors.Call[int](context.Background(), root, "withdraw", 5)
	// Output:
	// incoming=true till.deposit 1 arguments, failed: false
	// incoming=false root.deposit 1 arguments, failed: false
	// incoming=true till.withdraw 1 arguments, failed: true
	// incoming=false root.withdraw 1 arguments, failed: true
}

// An interceptor measures how long calls take. It waits for results that come later.
func ExampleWithInterceptor_timing() {
	rt, err := actor.NewRuntime()
	if err != nil {
		log.Fatal(err)
	}
	defer rt.Close(context.Background())

	timing := flavors.InterceptorFunc(func(next flavors.CallFunc) flavors.CallFunc {
		return func(ctx context.Context, call *flavors.CallInfo) (any, error) {
			begun := time.Now()
			v, err := next(ctx, call)
			return flavors.WhenDone(v, err, func(v any, err error) (any, error) {
				fmt.Println(call.Method(), "took less than a minute:", time.Since(begun) < time.Minute)
				return v, err
			})
		}
	})
	root := connectTo(rt, &till{}, nil, timing)
	_, _ = flavors.Call[int](context.Background(), root, "deposit", 5)
	_, _ = root.CallRemote("deposit", 5).Await(context.Background())
	// Output:
	// deposit took less than a minute: true
	// deposit took less than a minute: true
}

// An interceptor makes calls again that failed, if that is safe: the method changes nothing, and the peer has refused
// the call before it ran.
func ExampleWithInterceptor_retry() {
	rt, err := actor.NewRuntime()
	if err != nil {
		log.Fatal(err)
	}
	defer rt.Close(context.Background())

	safe := []string{"balance"} // methods that change nothing
	retry := flavors.InterceptorFunc(func(next flavors.CallFunc) flavors.CallFunc {
		return func(ctx context.Context, call *flavors.CallInfo) (any, error) {
			if call.Incoming() || !slices.Contains(safe, call.Method()) {
				return next(ctx, call)
			}
			var again func(left int) (any, error)
			again = func(left int) (any, error) {
				v, err := next(ctx, call)
				return flavors.WhenDone(v, err, func(v any, err error) (any, error) {
					if left == 0 || !errors.Is(err, broker.Busy) {
						return v, err
					}
					fmt.Println("again:", err)
					return again(left - 1)
				})
			}
			return again(3)
		}
	})
	root := connectTo(rt, &till{balance: 7, busy: 2}, nil, retry)
	fmt.Println(flavors.Call[int](context.Background(), root, "balance"))
	// Output:
	// again: perspectivebroker.Busy: try again
	// again: perspectivebroker.Busy: try again
	// 7 <nil>
}
