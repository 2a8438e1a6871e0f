package actor

import (
	"fmt"
	"testing"

	protoactor "github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestRepairedRegistry spawns actors in a system whose registry was repaired, and finds each by its name.
// .ci/run also runs this package's tests on 32 bits.
func TestRepairedRegistry(t *testing.T) {
	system := protoactor.NewActorSystem()
	defer system.Shutdown()
	repairRegistry(system, true)
	require.Len(t, system.ProcessRegistry.LocalPIDs.LocalPIDs, 1)
	stream, ok := system.ProcessRegistry.GetLocal(eventStreamName)
	require.True(t, ok)
	assert.NotNil(t, stream)
	props := protoactor.PropsFromFunc(func(ctx protoactor.Context) {
		if _, ok := ctx.Message().(string); ok {
			ctx.Respond(ctx.Self().Id)
		}
	})
	for i := range 200 {
		name := fmt.Sprintf("actor%d", i)
		pid, err := system.Root.SpawnNamed(props, name)
		require.NoError(t, err)
		got, err := system.Root.RequestFuture(pid, "who?", -1).Result()
		require.NoError(t, err)
		assert.Equal(t, name, got)
	}
	require.NoError(t, checkRegistry(system, true))
}

func TestAdoptOn32Bits(t *testing.T) {
	system := protoactor.NewActorSystem()
	defer system.Shutdown()
	require.ErrorContains(t, checkRegistry(system, true), "use NewRuntime")
	require.NoError(t, checkRegistry(system, false))
}
