package interop

import (
	"context"
	"testing"

	protoactor "github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/stock"
)

// asker is an actor in an application's own actor system.
type asker struct {
	ref     *flavors.RemoteReference
	answers chan flavors.Answer
	ends    chan *protoactor.Terminated
}

// Receive implements protoactor.Actor.
func (a *asker) Receive(ctx protoactor.Context) {
	switch m := ctx.Message().(type) {
	case *protoactor.Started:
		ctx.Watch(a.ref.PID())
		ctx.Request(a.ref.PID(), flavors.Message{Method: "incr", Args: []any{2}})
	case flavors.Answer:
		a.answers <- m
	case string:
		ctx.Send(a.ref.PID(), flavors.Message{Method: "incr", Args: []any{10}})
		ctx.Request(a.ref.PID(), flavors.Message{Method: m})
	case *protoactor.Terminated:
		a.ends <- m
	}
}

// TestAdoptedSystem watches a reference to another process, which is killed.
func TestAdoptedSystem(t *testing.T) {
	server := Server(t)
	system := protoactor.NewActorSystem()
	rt, err := actor.Adopt(system)
	require.NoError(t, err)
	conn, err := broker.Dial(t.Context(), rt, "pb://"+server.Addr())
	require.NoError(t, err)
	counter := call[*flavors.RemoteReference](t, conn, "counter")
	address := counter.PID()

	a := &asker{ref: counter, answers: make(chan flavors.Answer, 4), ends: make(chan *protoactor.Terminated, 4)}
	pid := system.Root.Spawn(protoactor.PropsFromProducer(func() protoactor.Actor { return a }))
	first := <-a.answers
	require.NoError(t, first.Err)
	assert.Equal(t, int64(2), first.Value)
	assert.Equal(t, "incr", first.Method)
	system.Root.Send(pid, "value")
	assert.Equal(t, int64(12), (<-a.answers).Value)

	server.Kill()
	assert.True(t, address.Equal((<-a.ends).Who))
	system.Root.Send(pid, "value")
	require.ErrorIs(t, (<-a.answers).Err, flavors.DeadReference)

	ctx, cancel := context.WithTimeout(context.Background(), stock.Timeout)
	defer cancel()
	require.NoError(t, rt.Close(ctx))
	assert.False(t, system.IsStopped(), "an adopted system goes on")
	require.NoError(t, system.Root.StopFuture(pid).Wait())
	system.Shutdown()
}
