package flavors_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/internal/seam"
)

var internals = flavors.Internal.Export(seam.Token{})

// fragile has a method that panics.
type fragile struct{ slow }

func (*fragile) RemoteBreak() { panic("broken") }

func TestObjects(t *testing.T) {
	rt := pbtest.NewRuntime(t)
	first := &fragile{slow{begun: make(chan struct{}), goOn: make(chan struct{})}}
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", first, broker.WithPublished("second", &fragile{}))
	require.NoError(t, err)
	conn, err := broker.Dial(t.Context(), rt, ln.URL())
	require.NoError(t, err)
	count := func(limit int) (total, called int) {
		total = internals.Objects(rt, limit, func(seam.ObjectInfo) { called++ })
		return total, called
	}
	total, called := count(10)
	assert.Zero(t, total+called, "an object that was not called has no actor")

	_, err = flavors.Call[any](t.Context(), conn.Root(), "break")
	require.Error(t, err)
	waiting := conn.Root().CallRemote("wait")
	<-first.begun
	behind := conn.Root().CallRemote("pass")
	_, err = flavors.Call[any](t.Context(), conn.Published("second"), "break")
	require.Error(t, err)

	total, called = count(1)
	assert.Equal(t, []int{2, 1}, []int{total, called})
	oldest := func() (o seam.ObjectInfo) {
		internals.Objects(rt, 10, func(info seam.ObjectInfo) { o = info })
		return o
	}
	pbtest.Eventually(t, func() bool { return oldest().Waiting == 1 })
	o := oldest()
	assert.Regexp(t, `^pb/objects/fragile\$`, o.Actor)
	assert.Equal(t, seam.ObjectInfo{
		Actor: o.Actor, Type: "fragile", Branch: "objects", Waiting: 1, Running: "wait", Restarts: 1, Holders: 2,
	}, o)
	close(first.goOn)
	for _, d := range []*actor.Deferred{waiting, behind} {
		_, err = pbtest.Result(t, d)
		require.NoError(t, err)
	}
	pbtest.Eventually(t, func() bool { o := oldest(); return o.Waiting == 0 && o.Running == "" })
}
