package flavors_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/flavors"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// Hall gives out doors.
type Hall struct{ flavors.Root }

func (*Hall) RemoteDoor() *Door { return &Door{} }

// Door is a Referenceable: peers hold it by reference and call its Remote methods, which run one at a time.
type Door struct {
	flavors.Referenceable
	open bool
}

// ErrLocked is an exception type of the application.
var ErrLocked = flavors.NewException("hall.Locked", flavors.PBError)

func (d *Door) RemoteOpen() bool { d.open = true; return d.open }

func (d *Door) RemoteLock() error {
	if d.open {
		return ErrLocked.New("close it first")
	}
	return nil
}

func ExampleReferenceable() {
	conn, leave := visit(&Hall{})
	defer leave()
	ctx := context.Background()
	door, err := flavors.Call[*flavors.RemoteReference](ctx, conn.Root(), "door")
	if err != nil {
		log.Fatal(err)
	}
	open, err := flavors.Call[bool](ctx, door, "open")
	fmt.Println(open, err)
	door.Release() // The door's actor ends, because no other peer holds the door.
	fmt.Println(errors.Is(door.Err(), flavors.DeadReference))
	// Output:
	// true <nil>
	// true
}

func ExampleCall() {
	conn, leave := visit(&Hall{})
	defer leave()
	_, err := flavors.Call[int](context.Background(), conn.Root(), "chimney")
	fmt.Println(errors.Is(err, flavors.NoSuchMethod), err)
	// Output:
	// true twisted.spread.flavors.NoSuchMethod: No such method: remote_chimney
}

func ExampleNewException() {
	conn, leave := visit(&Door{open: true})
	defer leave()
	_, err := flavors.Call[any](context.Background(), conn.Root(), "lock")
	var f *flavors.Failure
	fmt.Println(errors.Is(err, ErrLocked), errors.Is(err, flavors.PBError), errors.As(err, &f))
	fmt.Println(f.Type, "-", f.Value)
	// Output:
	// true true true
	// hall.Locked - close it first
}

func ExampleRemoteReference_PID() {
	conn, leave := visit(&Door{})
	defer leave()
	done := make(chan struct{})
	// Any actor can ask and watch a remote object as it would another actor.
	conn.Runtime().Root().Spawn(protoactor.PropsFromFunc(func(ctx protoactor.Context) {
		door := conn.Root().PID()
		switch m := ctx.Message().(type) {
		case *protoactor.Started:
			ctx.Watch(door)
			ctx.Request(door, flavors.Message{Method: "open"})
		case flavors.Answer:
			fmt.Println(m.Method, m.Value, m.Err)
			conn.Abort(nil)
		case *protoactor.Terminated:
			fmt.Println("the door is out of reach")
			close(done)
		}
	}))
	<-done
	// Output:
	// open true <nil>
	// the door is out of reach
}

func ExampleLink() {
	conn, leave := visit(&Hall{})
	defer leave()
	door, err := flavors.Call[*flavors.RemoteReference](context.Background(), conn.Root(), "door")
	if err != nil {
		log.Fatal(err)
	}
	root := conn.Runtime().Root()
	linked := make(chan struct{})
	pid := root.Spawn(protoactor.PropsFromFunc(func(ctx protoactor.Context) {
		if _, ok := ctx.Message().(*protoactor.Started); ok {
			flavors.Link(ctx, door) // Held exactly as long as this actor lives.
			close(linked)
		}
	}))
	<-linked
	fmt.Println(door.Err())
	if err := root.StopFuture(pid).Wait(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(door.Err())
	// Output:
	// <nil>
	// flavors: the reference has been released
}

func ExampleForward() {
	rt, err := actor.NewRuntime()
	if err != nil {
		log.Fatal(err)
	}
	defer rt.Close(context.Background())
	// An actor of the application's own gets the calls as messages, and answers when it likes.
	pid := rt.Root().Spawn(protoactor.PropsFromFunc(func(ctx protoactor.Context) {
		if inv, ok := ctx.Message().(*flavors.Invocation); ok {
			inv.Answer(fmt.Sprintf("%s with %d arguments", inv.Method, len(inv.Args)), nil)
		}
	}))
	conn, leave := visit(flavors.Forward(rt, pid))
	defer leave()
	answer, err := flavors.Call[string](context.Background(), conn.Root(), "anything", 1, 2)
	fmt.Println(answer, err)
	// Output:
	// anything with 2 arguments <nil>
}
