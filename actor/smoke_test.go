package actor_test

import (
	"context"
	"testing"
	"time"

	protoactor "github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/perspectivebroker/pb/actor"
)

type echo struct{ rt *actor.Runtime }

func (e *echo) Receive(ctx protoactor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Deferred:
		d := actor.NewDeferred(e.rt)
		m.Then(ctx, func(v any, err error) (any, error) { return v, err }).OnComplete(func(v any, err error) { d.Complete(v, err) })
		ctx.Respond(d)
	case string:
		ctx.Respond(m)
	}
}

func TestSmoke(t *testing.T) {
	defer goleak.VerifyNone(t)
	rt, err := actor.NewRuntime()
	require.NoError(t, err)
	pid := rt.Root().Spawn(rt.Props(func() protoactor.Actor { return &echo{rt} }))
	src := actor.NewDeferred(rt)
	r, err := rt.Root().RequestFuture(pid, src, time.Second).Result()
	require.NoError(t, err)
	src.Complete(3, nil)
	v, err := r.(*actor.Deferred).Await(context.Background())
	require.NoError(t, err)
	require.Equal(t, 3, v)
	require.NoError(t, rt.Root().StopFuture(pid).Wait())
	require.NoError(t, rt.Close(context.Background()))
}
