package broker_test

import (
	"github.com/perspectivebroker/pb/actor"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// inTurn runs f in an actor's turn and waits for it.
func inTurn(rt *actor.Runtime, pid *protoactor.PID, f func(protoactor.Context)) {
	done := make(chan struct{})
	rt.Root().Send(pid, func(ctx protoactor.Context) { f(ctx); close(done) })
	<-done
}
