package broker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/stretchr/testify/require"
)

// revoker gives out objects and takes them back.
type revoker struct {
	flavors.Root
	given []*classed
}

func (g *revoker) RemoteGive() *classed {
	g.given = append(g.given, &classed{})
	return g.given[len(g.given)-1]
}

func (g *revoker) RemoteAgain(i int) *classed { return g.given[i] }

func (g *revoker) RemoteRevoke(inv *flavors.Invocation, i int) error {
	return inv.Conn().Revoke(g.given[i])
}

func (*revoker) RemoteCall(ref *flavors.RemoteReference) *actor.Deferred { return ref.CallRemote("f") }

func (*revoker) RemoteEcho(v any) any { return v }

// The clause P-5.11.
func TestRevoke(t *testing.T) {
	const invalid = "twisted.spread.pb.Error"
	g := &revoker{}
	s := newServer(t, g)
	p := s.peer()
	p.Write(`[message 1 root give 1 [tuple] [dictionary]]`)
	p.Want(`[answer 1 [remote 1]]`)
	p.Write(`[message 2 root again 1 [tuple 0] [dictionary]]`)
	p.Want(`[answer 2 [remote 1]]`)
	p.Write(`[message 3 root revoke 1 [tuple 0] [dictionary]]`)
	p.Want(`[answer 3 [None]]`)
	t.Run("calls and mentions fail", func(t *testing.T) {
		p.Write(`[message 4 1 ping 1 [tuple] [dictionary]]`)
		wantError(t, p, 4, invalid)
		p.Write(`[message 5 root echo 1 [tuple [local 1]] [dictionary]]`)
		wantError(t, p, 5, invalid)
	})
	t.Run("it does not count", func(t *testing.T) {
		now, ever := g.given[0].Held()
		require.False(t, now)
		require.True(t, ever)
		require.Zero(t, broker.StatsOf(s.rt).Exports)
	})
	t.Run("sent again it is new", func(t *testing.T) {
		p.Write(`[message 6 root again 1 [tuple 0] [dictionary]]`)
		p.Want(`[answer 6 [remote 2]]`)
		p.Write(`[message 7 2 ping 1 [tuple] [dictionary]]`)
		p.Want(`[answer 7 [unicode pong]]`)
	})
	t.Run("each mention can be given back once", func(t *testing.T) {
		p.Write(`[decref 1]`, `[decref 1]`)
		p.WantIdle()
		p.Write(`[decref 1]`)
		p.WantClosed()
	})
}

func TestRevokeEverywhere(t *testing.T) {
	g := &revoker{}
	s := newServer(t, g)
	one, other := s.peer(), s.peer()
	one.Write(`[message 1 root give 1 [tuple] [dictionary]]`)
	one.Want(`[answer 1 [remote 1]]`)
	other.Write(`[message 1 root again 1 [tuple 0] [dictionary]]`)
	other.Want(`[answer 1 [remote 1]]`)
	require.NoError(t, broker.Revoke(s.rt, g.given[0]))
	one.Write(`[message 2 1 ping 1 [tuple] [dictionary]]`)
	wantError(t, one, 2, "twisted.spread.pb.Error")
	other.Write(`[message 2 1 ping 1 [tuple] [dictionary]]`)
	wantError(t, other, 2, "twisted.spread.pb.Error")
}

// A peer that never gives back what was revoked may be sent any number of objects.
func TestRevokeWithoutEnd(t *testing.T) {
	g := &revoker{}
	s := newServer(t, g, broker.WithLimits(broker.Limits{Exports: 2}))
	p := s.peer()
	const n = 40_000
	for i := range n {
		p.Write(`[message 1 root give 1 [tuple] [dictionary]]`)
		p.Want(fmt.Sprintf(`[answer 1 [remote %d]]`, i+1))
		require.NoError(t, broker.Revoke(s.rt, g.given[0]))
		g.given = g.given[:0]
	}
	p.Write(`[decref 1]`, fmt.Sprintf(`[decref %d]`, n))
	p.WantIdle()
}

func TestRevokeLingering(t *testing.T) {
	g := &revoker{}
	s := newServer(t, g, broker.WithLimits(broker.Limits{ReleaseGrace: time.Hour}))
	p := s.peer()
	p.Write(`[message 1 root give 1 [tuple] [dictionary]]`)
	p.Want(`[answer 1 [remote 1]]`)
	p.Write(`[message 9 root call 1 [tuple [remote 7]] [dictionary]]`)
	p.Want(`[message 1 7 f 1 [tuple] [dictionary]]`) // While it is pending, the object can be mentioned.
	p.Write(`[decref 1]`, `[message 8 root echo 1 [tuple [local 1]] [dictionary]]`)
	p.Want(`[answer 8 [remote 2]]`)
	p.Write(`[message 2 root revoke 1 [tuple 0] [dictionary]]`)
	p.Want(`[answer 2 [None]]`)
	p.Write(`[message 3 root echo 1 [tuple [local 1]] [dictionary]]`)
	wantError(t, p, 3, "twisted.spread.pb.Error")
	p.Write(`[answer 1 [None]]`)
	p.Want(`[answer 9 [None]]`)
}

func TestRevokeRefuses(t *testing.T) {
	rt := newRuntime(t)
	for _, obj := range []any{nil, 3, "text", &struct{ flavors.Cacheable }{}, (*classed)(nil), (*flavors.ViewPoint)(nil)} {
		require.Error(t, broker.Revoke(rt, obj), "%T", obj)
	}
	require.NoError(t, broker.Revoke(rt, &classed{}))
	require.Error(t, broker.Revoke(nil, &classed{}))
	require.Error(t, (*broker.Conn)(nil).Revoke(&classed{}))
}
