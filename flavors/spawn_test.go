package flavors_test

import (
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/stretchr/testify/require"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

func TestSpawnInDo(t *testing.T) {
	rt := newRuntime(t)
	s := &subject{}
	var pid, again *protoactor.PID
	var err error
	var behind *actor.Deferred
	require.NoError(t, errorOf(s.Do(func() {
		pid, err = flavors.Spawn(rt, s) // It would wait for itself.
		if err != nil {
			return
		}
		if again, err = flavors.Spawn(rt, s); err != nil {
			return
		}
		behind = s.Do(func() { s.n *= 2 }) // The actor is there, and waits.
		s.n = 21
	})))
	require.NoError(t, err)
	require.Equal(t, pid.Id, again.Id)
	require.NoError(t, errorOf(behind))
	var n int
	require.NoError(t, errorOf(s.Do(func() { n = s.n })))
	require.Equal(t, 42, n)
	rt.Root().Stop(pid)
	waitGone(t, rt, pid.Id)
}

// spawner spawns itself when it is called.
type spawner struct {
	flavors.Root
	rt *actor.Runtime
}

func (s *spawner) RemoteSpawn() (string, error) {
	pid, err := flavors.Spawn(s.rt, s)
	if err != nil {
		return "", err
	}
	return pid.Id, nil
}

func TestSpawnInMethod(t *testing.T) {
	root := &spawner{}
	s := newServer(t, root)
	root.rt = s.Runtime
	id, err := flavors.Call[string](t.Context(), s.Dial().Root(), "spawn")
	require.NoError(t, err)
	pid, err := flavors.Spawn(s.Runtime, root)
	require.NoError(t, err)
	require.Equal(t, pid.Id, id)
}

func TestSpawnInClosedRuntime(t *testing.T) {
	rt := newRuntime(t)
	_, err := flavors.Spawn(rt, &subject{})
	require.NoError(t, err)
	require.NoError(t, rt.Close(t.Context()))
	s := &subject{}
	require.NoError(t, errorOf(s.Do(func() { _, err = flavors.Spawn(rt, s) })))
	require.ErrorIs(t, err, flavors.ErrObjectStopped)
	_, err = flavors.Spawn(rt, &subject{})
	require.ErrorIs(t, err, flavors.ErrObjectStopped)
}
