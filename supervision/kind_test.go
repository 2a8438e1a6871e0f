package supervision_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	protoactor "github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/supervision"
)

func TestKinds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, err := actor.NewRuntime(actor.WithLogger(zerolog.Nop()))
		require.NoError(t, err)
		tree := supervision.TreeOf(rt)
		require.Empty(t, tree.Kinds(supervision.Objects))
		r := &record{}
		spawn := func(prefix string) *protoactor.PID {
			pid, err := tree.Spawn(supervision.Objects, r.props(rt, prefix), prefix)
			require.NoError(t, err)
			return pid
		}
		first, _, _ := spawn("Duck"), spawn("Duck"), spawn("Map[example.org/x.T]")
		fail(rt, first)
		inTurn(rt, first, func(protoactor.Context) {})
		synctest.Wait()
		assert.Equal(t, []supervision.Kind{
			{Prefix: "Duck", Actors: 2, Spawned: 2, Restarts: 1},
			{Prefix: "Map[example.org/x.T]", Actors: 1, Spawned: 1},
		}, tree.Kinds(supervision.Objects))
		stop(rt, first)
		synctest.Wait()
		assert.Equal(t, supervision.Kind{Prefix: "Duck", Actors: 1, Spawned: 2, Restarts: 1},
			tree.Kinds(supervision.Objects)[0])
		assert.Empty(t, tree.Kinds(supervision.Caches))
		require.NoError(t, rt.Close(t.Context()))
		assert.Zero(t, tree.Kinds(supervision.Objects)[0].Actors)
	})
}

func TestKindsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, err := actor.NewRuntime(actor.WithLogger(zerolog.Nop()))
		require.NoError(t, err)
		tree := supervision.TreeOf(rt)
		r := &record{}
		var last *protoactor.PID
		for i := range supervision.MaxKinds + 5 {
			last, err = tree.Spawn(supervision.Objects, r.props(rt, "x"), fmt.Sprintf("kind %04d", i))
			require.NoError(t, err)
		}
		kinds := tree.Kinds(supervision.Objects)
		require.Len(t, kinds, supervision.MaxKinds+1)
		assert.Equal(t, supervision.Kind{Prefix: "(other)", Actors: 5, Spawned: 5}, kinds[0])
		stop(rt, last)
		synctest.Wait()
		assert.Equal(t, 4, tree.Kinds(supervision.Objects)[0].Actors)
		require.NoError(t, rt.Close(t.Context()))
	})
}

func TestKindsOfNoTree(t *testing.T) {
	var none *supervision.Tree
	assert.Empty(t, none.Kinds(supervision.Objects))
	assert.Empty(t, new(supervision.Tree).Kinds(supervision.Objects))
	assert.Empty(t, supervision.TreeOf(newRuntime(t)).Kinds(9))
}
