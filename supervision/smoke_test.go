package supervision_test

import (
	"context"
	"testing"

	protoactor "github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/supervision"
)

func TestSmoke(t *testing.T) {
	defer goleak.VerifyNone(t)
	rt, err := actor.NewRuntime()
	require.NoError(t, err)
	tree := supervision.TreeOf(rt)
	stopped := make(chan struct{})
	pid, err := tree.Spawn(supervision.Objects, rt.Props(func() protoactor.Actor {
		return protoactor.ReceiveFunc(func(ctx protoactor.Context) {
			if _, ok := ctx.Message().(*protoactor.Stopped); ok {
				close(stopped)
			}
		})
	}), "thing")
	require.NoError(t, err)
	require.Contains(t, pid.Id, "pb/objects/thing")
	supervision.LeasesOf(rt).Hold(pid, func() {})
	require.NoError(t, rt.Close(context.Background()))
	<-stopped
	require.Zero(t, supervision.LeasesOf(rt).Len())
}
