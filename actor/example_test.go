package actor_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	protoactor "github.com/asynkron/protoactor-go/actor"

	"github.com/perspectivebroker/pb/actor"
)

// greeter looks up names slowly, without blocking its turn.
type greeter struct{ lookup func() *actor.Deferred }

type greet struct{ answer *actor.Deferred }

func (g *greeter) Receive(ctx protoactor.Context) {
	if m, ok := ctx.Message().(greet); ok {
		m.answer.Complete(g.lookup().Then(ctx, func(name any, err error) (any, error) {
			// In the greeter's turn again.
			return fmt.Sprint("hello, ", name), err
		}), nil)
	}
}

func Example() {
	rt, err := actor.NewRuntime()
	if err != nil {
		fmt.Println(err)
		return
	}
	lookup := actor.NewDeferred(rt)
	pid := rt.Root().Spawn(rt.Props(func() protoactor.Actor {
		return &greeter{lookup: func() *actor.Deferred { return lookup }}
	}))

	answer := actor.NewDeferred(rt)
	rt.Root().Send(pid, greet{answer})
	lookup.Complete("world", nil)
	fmt.Println(answer.Await(context.Background()))

	rt.Root().Stop(pid)
	fmt.Println(rt.Close(context.Background()))
	// Output:
	// hello, world <nil>
	// <nil>
}

func ExampleDeferred_Await() {
	d := actor.NewDeferred(nil)
	ctx, cancel := context.WithTimeout(context.Background(), time.Nanosecond)
	defer cancel()
	_, err := d.Await(ctx) // nobody completes it
	fmt.Println(err)

	d.Complete(42, nil)
	fmt.Println(d.Await(context.Background()))
	fmt.Println(d.Complete(43, nil))
	// Output:
	// context deadline exceeded
	// 42 <nil>
	// false
}

func ExampleDeferred_OnCancel() {
	d := actor.NewDeferred(nil)
	d.OnCancel(func() { fmt.Println("forgetting the call") })
	d.Cancel()
	_, err := d.Await(context.Background())
	fmt.Println(errors.Is(err, actor.ErrCancelled))
	// Output:
	// forgetting the call
	// true
}

func ExampleAll() {
	sum := actor.All(actor.Succeeded(1), actor.Succeeded("two"))
	fmt.Println(sum.Await(context.Background()))
	// Output: [1 two] <nil>
}

func ExampleRuntime_OnClose() {
	rt, err := actor.NewRuntime()
	if err != nil {
		fmt.Println(err)
		return
	}
	rt.OnClose(actor.PhaseDisconnect, "socket", func(context.Context) error {
		fmt.Println("closing the socket")
		return nil
	})
	rt.OnClose(actor.PhaseRefuse, "listener", func(context.Context) error {
		fmt.Println("closing the listener")
		return nil
	})
	fmt.Println(rt.Close(context.Background()))
	// Output:
	// closing the listener
	// closing the socket
	// <nil>
}

func ExampleStillRunningError() {
	rt, err := actor.NewRuntime()
	if err != nil {
		fmt.Println(err)
		return
	}
	done := make(chan struct{})
	rt.Go("reader of 127.0.0.1:8800", func() { <-done })
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	fmt.Println(rt.Close(ctx))
	close(done)
	fmt.Println(rt.Close(context.Background()))
	// Output:
	// actor: close: context canceled; still running: reader of 127.0.0.1:8800
	// <nil>
}
