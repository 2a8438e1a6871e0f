package actor_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/perspectivebroker/pb/actor"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// An application that has an actor system lends it to a Runtime. Closing the Runtime leaves the system running.
func ExampleAdopt() {
	system := protoactor.NewActorSystem()
	defer system.Shutdown()
	rt, err := actor.Adopt(system)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("the same system:", rt.System() == system)
	if err := rt.Close(context.Background()); err != nil {
		log.Fatal(err)
	}

	echo := system.Root.Spawn(protoactor.PropsFromFunc(func(ctx protoactor.Context) {
		if text, ok := ctx.Message().(string); ok {
			ctx.Respond("heard " + text)
		}
	}))
	fmt.Println(system.Root.RequestFuture(echo, "hello", 10*time.Second).Result())
	// Output:
	// the same system: true
	// heard hello <nil>
}
