package cluster_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/internal/wire"
)

// silent is a client of node a that calls probes, and does not read the answers. There is no buffer for these.
type silent struct {
	*wire.Peer
	c     *testCluster
	halls map[string]string // the luids, by the ids of the objects
	calls int
}

func (c *testCluster) silent(halls ...string) *silent {
	pipe := broker.NewPipeListener()
	_, err := broker.ListenOn(c.rts["a"], pipe, &lobby{node: c.nodes["a"]}, broker.WithRelaying(),
		broker.WithLimits(broker.Limits{MaxWriteBacklog: 1 << 20, Stall: time.Hour}))
	require.NoError(c.t, err)
	sock, err := pipe.Dial(testContext(c.t))
	require.NoError(c.t, err)
	s := &silent{wire.New(c.t, sock), c, map[string]string{}, 0}
	s.Join()
	for _, id := range halls {
		s.Write(`[message 1 "root" "hall" 1 [tuple ["unicode" "` + id + `"]] [dictionary]]`)
		s.Want(`[answer 1 [remote $luid]]`)
		s.halls[id] = fmt.Sprint(s.Var("luid"))
		s.Forget("luid")
	}
	return s
}

// note calls an object with a number. The answer is long if pad is.
func (s *silent) note(id string, number int, pad string) {
	s.calls++
	s.Write(fmt.Sprintf(`[message %d %s "note" 1 [tuple %d ["unicode" "%s"]] [dictionary]]`,
		9+s.calls, s.halls[id], number, pad))
}

// park calls an object until calls wait, because so many answers have not been read. It returns how many calls.
func (s *silent) park(p *probeLog, id string) (calls int) {
	pad := strings.Repeat("x", 128<<10)
	parks := func() bool { return s.c.nodes["a"].Parks("hall", id) }
	for before := len(p.noted("b")); !parks(); calls++ {
		s.note(id, calls, pad)
		pbtest.Eventually(s.c.t, func() bool { return parks() || len(p.noted("b")) > before+calls })
	}
	return calls
}

// read reads all answers. None may be an error.
func (s *silent) read() {
	for range s.calls {
		s.Want(`[answer _ _]`)
	}
}

// TestLeaveWithParkedCalls: calls of a client that does not read wait at its gateway. The object's node leaves
// meanwhile, and does not wait for them: they are carried out, in order, where the object is placed anew.
func TestLeaveWithParkedCalls(t *testing.T) {
	c := newCluster(t, "a", "b")
	p := c.probes()
	id := c.idOn("hall", "b")
	client := c.silent(id)
	parked := client.park(p, id)
	const more = 60
	for i := range more {
		client.note(id, parked+i, "")
	}
	require.NoError(t, c.nodes["b"].Leave(testContext(t)))
	client.read()
	all := append(p.noted("b"), p.noted("a")...)
	assert.Len(t, all, parked+more)
	assert.True(t, slices.IsSorted(all), "%v", all)
	assert.NotEmpty(t, p.noted("a"))
}

// TestRerouteWithParkedCalls: if an object is found elsewhere, calls come back that the link to the place before has
// not sent, so that later ones cannot overtake them.
func TestRerouteWithParkedCalls(t *testing.T) {
	c := newCluster(t, "a", "b")
	p := c.probes()
	id := c.idOn("hall", "b")
	client := c.silent(id)
	parked := client.park(p, id)
	assert.Equal(t, 1, c.nodes["a"].Reroute("hall", id, "c"))
	client.note(id, parked, "")
	client.read()
	all := p.noted("b")
	assert.Len(t, all, parked+1)
	assert.True(t, slices.IsSorted(all), "%v", all)
}

// TestMoveWithParkedCalls: objects move to a node that joins, while calls to them of a client that does not read wait.
// The calls of others go on.
func TestMoveWithParkedCalls(t *testing.T) {
	c := newCluster(t, "a", "b")
	p := c.probes()
	_, ann := c.login(c.gateway("a"), "ann")
	anns := map[string]*flavors.RemoteReference{}
	for i := range 40 {
		id := fmt.Sprint("move", i)
		ref := ask[*flavors.RemoteReference](t, ann, "hall", id)
		if ask[string](t, ref, "node") == "b" {
			anns[id] = ref
		}
	}
	client := c.silent(slices.Collect(maps.Keys(anns))...)
	for id := range anns {
		if client.calls == 0 {
			client.park(p, id)
		}
		client.note(id, 0, "")
	}
	c.offerProbe(c.join("c"), p)
	pbtest.Eventually(t, func() bool {
		moved := 0
		for _, ref := range anns {
			if ask[string](t, ref, "node") == "c" {
				moved++
			}
		}
		return moved > 3
	})
	client.read()
	assert.NotEmpty(t, p.noted("c"))
}

// flood calls an object of its gateway until answers wait that the client has not read, and others wait for these.
func (s *silent) flood(p *probeLog, id string) {
	pad := strings.Repeat("x", 128<<10)
	for i := range 20 {
		s.note(id, i, pad)
	}
	pbtest.Eventually(s.c.t, func() bool { return len(p.noted("a")) >= 8 })
}

// TestLeaveWithOwnSilentClient: a node leaves while a client of its own does not read the answers of an object that
// lives on it. What has run is done, and what has not begun fails, because the gateway has left.
func TestLeaveWithOwnSilentClient(t *testing.T) {
	c := newCluster(t, "a", "b")
	p := c.probes()
	id := c.idOn("hall", "a")
	client := c.silent(id)
	client.flood(p, id)
	require.NoError(t, c.nodes["a"].Leave(testContext(t)))
	run := p.noted("a")
	assert.True(t, slices.IsSorted(run), "%v", run)
	for range run {
		client.Want(`[answer _ _]`)
	}
	for range client.calls - len(run) {
		client.Want(`[error _ _]`)
	}
	assert.Empty(t, p.noted("b"))
}

// TestMoveWithOwnSilentClient: objects move to a node that joins, and do not wait for a client of their own node that
// does not read. Its calls are carried out once and in order, here or there.
func TestMoveWithOwnSilentClient(t *testing.T) {
	c := newCluster(t, "a")
	p := c.probes()
	var ids []string
	for i := range 40 {
		ids = append(ids, fmt.Sprint("own", i))
	}
	client := c.silent(ids...)
	client.flood(p, ids[0])
	for _, id := range ids {
		for i := range 3 {
			client.note(id, 100+i, "")
		}
	}
	b := c.join("b")
	c.offerProbe(b, p)
	_, ann := c.login(c.gateway("a"), "ann")
	pbtest.Eventually(t, func() bool {
		moved := 0
		for _, id := range ids {
			if ask[string](t, ask[*flavors.RemoteReference](t, ann, "hall", id), "node") == "b" {
				moved++
			}
		}
		return moved > 10
	})
	client.read()
	assert.Len(t, append(p.noted("a"), p.noted("b")...), client.calls)
	assert.NotEmpty(t, p.noted("b"))
}
