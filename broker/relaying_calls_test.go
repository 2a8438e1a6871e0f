package broker_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/stretchr/testify/require"
)

// P-13.6: a call whose caller has gone is cancelled at a peer that takes cancels, and forgotten at others.
func TestRelayedCallerGone(t *testing.T) {
	for name, profile := range map[string]banana.Profile{"pb+1": banana.ProfilePB1, "pb": banana.ProfilePB} {
		t.Run(name, func(t *testing.T) {
			root := &store{}
			s := newServer(t, root, broker.WithRelaying())
			a, b := s.connect(), s.peer()
			a.JoinAs(profile)
			leave(a, b, `[remote 70]`, `[remote 1]`)
			b.Write(`[message 2 1 "slow" 1 [tuple] [dictionary]]`, `[message 3 1 "tell" 0 [tuple] [dictionary]]`)
			a.Want(`[message 1 70 "slow" 1 [tuple] [dictionary]]`, `[message 3 70 "tell" 0 [tuple] [dictionary]]`)
			b.Close()
			if profile.IsExtended() {
				a.Want(`["cancel" 1]`)
			}
			a.WantIdle()
			a.Write(`[answer 1 [remote 71]]`)
			a.Want(`[decref 71]`)
		})
	}
}

// P-13.1: calls of one peer to another keep their order, whatever their objects, when the other does not read.
func TestRelayedOrderOfObjects(t *testing.T) {
	root := &store{}
	s := newServer(t, root, broker.WithRelaying(), broker.WithLimits(broker.Limits{WriteHighWater: 4 << 10}))
	a, b := s.peer(), s.peer()
	leave(a, b, `[list [remote 70] [remote 71]]`, `[list [remote 1] [remote 5]]`)
	long := strings.Repeat("x", 1<<10)
	const calls = 200
	for i := range calls {
		b.Write(fmt.Sprintf(`[message %d %d "a" 1 [tuple %d "%s"] [dictionary]]`, 10+i, 1+4*(i%2), i, long))
	}
	for i := range calls {
		a.Forget("id")
		a.Want(fmt.Sprintf(`[message $id %d "a" 1 [tuple %d _] [dictionary]]`, 70+i%2, i))
	}
}

// A peer with many unanswered calls leaves room for the calls of others. Its own wait, and none fails.
func TestRelayedShares(t *testing.T) {
	root := &store{}
	const most = 16
	s := newServer(t, root, broker.WithRelaying(), broker.WithLimits(broker.Limits{CallsOut: most}))
	a, b, c := s.peer(), s.peer(), s.peer()
	leave(a, b, `[remote 70]`, `[remote 1]`)
	c.Write(`[message 1 "root" "fetch" 1 [tuple ["unicode" "k"]] [dictionary]]`)
	c.Want(`[answer 1 [remote 1]]`)
	for i := range 2 * most {
		b.Write(fmt.Sprintf(`[message %d 1 "hang" 1 [tuple %d] [dictionary]]`, 10+i, i))
	}
	var ids []banana.Expr
	take := func(method string, i int) {
		t.Helper()
		a.Forget("id")
		a.Want(fmt.Sprintf(`[message $id 70 %q 1 [tuple %d] [dictionary]]`, method, i))
		ids = append(ids, a.Var("id"))
	}
	for i := range most / 2 {
		take("hang", i)
	}
	a.WantIdle()
	for i := range 3 { // The other peer is not kept from calling.
		c.Write(fmt.Sprintf(`[message %d 1 "hello" 1 [tuple %d] [dictionary]]`, 10+i, i))
		take("hello", i)
		a.Write(`[answer ` + banana.Format(ids[len(ids)-1]) + ` [None]]`)
		ids = ids[:len(ids)-1]
		c.Want(fmt.Sprintf(`[answer %d [None]]`, 10+i))
	}
	for i := range 2 * most {
		a.Write(`[answer ` + banana.Format(ids[i]) + ` [None]]`)
		b.Want(fmt.Sprintf(`[answer %d [None]]`, 10+i))
		if next := i + most/2; next < 2*most {
			take("hang", next)
		}
	}
	require.Len(t, ids, 2*most)
}
