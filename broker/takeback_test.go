package broker_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
)

// carrier is an object that calls are passed to.
type carrier struct {
	flavors.Viewable
	parcel    *actor.Deferred
	continued chan struct{}
}

func (*carrier) ViewBig(any) string             { return strings.Repeat("x", 2_000) }
func (*carrier) ViewNote(user any, n int) []any { return []any{user, n} }

// ViewLater answers with the parcel, in a turn of its own.
func (c *carrier) ViewLater(inv *flavors.Invocation, _ any) *actor.Deferred {
	return c.parcel.Then(inv, func(v any, err error) (any, error) {
		close(c.continued)
		return v, err
	})
}

// TestTakeBackFromObject: calls that wait at an object for a peer that does not read are given back in order, as they
// were, and can be passed elsewhere. Continuations do not wait for them any more, and other peers' calls stay.
func TestTakeBackFromObject(t *testing.T) {
	rt := newRuntime(t)
	here, there := &carrier{parcel: actor.NewDeferred(rt), continued: make(chan struct{})}, &carrier{}
	views := map[string]*flavors.ViewPoint{}
	for name, object := range map[string]*carrier{"here": here, "there": there} {
		_, err := flavors.Spawn(rt, object)
		require.NoError(t, err)
		views[name], err = flavors.NewViewPoint(name, object)
		require.NoError(t, err)
	}
	var passed atomic.Int32
	relay := flavors.NewRelay(func(inv *flavors.Invocation) {
		inv.PassToObject(views["here"], flavors.Passing{Returns: true})
		passed.Add(1)
	})
	s := serveOn(t, rt, &service{}, broker.WithPublished("relay", relay), broker.WithRelaying(),
		broker.WithLimits(broker.Limits{MaxWriteBacklog: 1_000}))
	p := s.peer()
	conn := only(t, s)
	reader := s.peer()
	served := func() { // The object has handled what came before.
		reader.Write(`[message 1 "relay" "note" 1 [tuple 0] [dictionary]]`)
		reader.Want(`[answer 1 [list ["unicode" "here"] 0]]`)
	}
	for range 3 {
		served() // From now on the arguments are decoded when they are read.
	}
	p.Write(
		`[message 1 "relay" "later" 1 [tuple] [dictionary]]`, `[message 2 "relay" "big" 1 [tuple] [dictionary]]`,
		`[message 3 "relay" "note" 1 [tuple 3] [dictionary]]`, `[message 4 "relay" "note" 1 [tuple 4] [dictionary]]`,
	)
	pbtest.Eventually(t, func() bool {
		stats := conn.Stats()
		return stats.BytesWaiting > 1_000 && stats.CallsIn.Pending == 3 && passed.Load() == 3+4
	})
	served()
	here.parcel.Complete("parcel", nil)
	served()
	back := flavors.TakeBackFrom(here)
	require.Len(t, back, 2)
	<-here.continued
	p.Want(`[answer 2 _]`, `[answer 1 ["unicode" "parcel"]]`)
	for _, inv := range back {
		require.Nil(t, inv.Perspective())
		require.Empty(t, inv.Args)
		inv.PassToObject(views["there"])
	}
	p.Want(`[answer 3 [list ["unicode" "there"] 3]]`, `[answer 4 [list ["unicode" "there"] 4]]`)
	require.Empty(t, flavors.TakeBackFrom(here))
	require.Empty(t, flavors.TakeBackFrom(5))
}
