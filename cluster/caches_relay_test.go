package cluster_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cluster"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/internal/wire"
)

// duck is a copy of a class that no gateway and no link knows.
type duck struct {
	flavors.Copyable
	Name string `pb:"name"`
}

func (*duck) TypeToCopy() string { return "pond.Duck" }

// pond is a placed object with a Cacheable of ducks, which looks different to each user.
type pond struct {
	flavors.Viewable
	view    pondView
	members []*flavors.RemoteReference
}

func (p *pond) ViewBoard(cluster.User) *pondView                    { return &p.view }
func (p *pond) ViewJoin(_ cluster.User, m *flavors.RemoteReference) { p.members = append(p.members, m) }

// ViewAdd adds ducks, and tells each member of each between the updates.
func (p *pond) ViewAdd(_ cluster.User, from, to int) {
	for i := from; i < to; i++ {
		flavors.Update(&p.view, func(observers flavors.Observers) {
			p.view.ducks = append(p.view.ducks, i)
			_ = observers.CallRemote("add", &duck{Name: fmt.Sprint(i)})
			for _, m := range p.members {
				_ = m.CallRemoteNoAnswer("heard", i)
			}
		})
	}
}

type pondView struct {
	flavors.Cacheable
	ducks []int
	asked atomic.Int64 // how often the state was
}

func (*pondView) TypeToCopy() string { return "pond.View" }

func (v *pondView) StateToCacheAndObserveFor(perspective any, _ *flavors.Observer) any {
	v.asked.Add(1)
	u, _ := perspective.(cluster.User)
	state := []any{u.Name, &duck{Name: "first"}}
	for _, d := range v.ducks {
		state = append(state, d)
	}
	return state
}

// pondClient is a client of a gateway that shows what it gets on the wire.
type pondClient struct{ *wire.Peer }

func (c *testCluster) pondGateway(node string) string {
	ln, err := broker.Listen(c.rts[node], "pb://127.0.0.1:0", &greeter{node: c.nodes[node]}, broker.WithRelaying())
	require.NoError(c.t, err)
	return strings.TrimPrefix(ln.URL(), "pb://")
}

// greeter gives out placed objects under the name that a client gives.
type greeter struct {
	flavors.Root
	node *cluster.Node
}

// named is an avatar without a login.
type named struct{ name string }

func (n *named) UserName() string { return n.name }

func (g *greeter) RemoteHall(name, id string) *flavors.ViewPoint {
	v, _ := flavors.NewViewPoint(&named{name}, &door{ref: g.node.Get("hall", id)})
	return v
}

// door hands the placed object to the user whose view of it this is.
type door struct {
	flavors.Viewable
	ref *cluster.Ref
}

func (d *door) ViewEnter(any) *cluster.Ref { return d.ref }

// enter returns a client for which [local 1] is the object.
func (c *testCluster) enter(addr, name, id string) *pondClient {
	p := wire.Connect(c.t, addr)
	p.Join()
	p.Write(fmt.Sprintf(`[message 1 "root" "hall" 1 [tuple ["unicode" %q] ["unicode" %q]] [dictionary]]`, name, id))
	p.Want(`[answer 1 [remote $door]]`)
	p.Write(`[message 2 $door "enter" 1 [tuple] [dictionary]]`)
	p.Want(`[answer 2 [remote $pond]]`)
	return &pondClient{p}
}

// board asks for the copy, which the peer calls $copy, and wants a state.
func (p *pondClient) board(state string) {
	p.askBoard()
	p.wantBoard(state)
}

func (p *pondClient) askBoard() { p.Write(`[message 3 $pond "board" 1 [tuple] [dictionary]]`) }

func (p *pondClient) wantBoard(state string) {
	p.Forget("copy")
	p.Want(`[answer 3 ["pond.View" $copy ` + state + `]]`)
}

func stateOf(name string, ducks int) string {
	s := fmt.Sprintf(`[list ["unicode" %q] ["pond.Duck" [dictionary [["unicode" "name"] ["unicode" "first"]]]]`, name)
	for i := range ducks {
		s += fmt.Sprint(" ", i)
	}
	return s + `]`
}

func (p *pondClient) wantUpdates(from, to int) {
	for i := from; i < to; i++ {
		p.Forget("id")
		p.Want(fmt.Sprintf(`[cachemessage $id $copy "add" 0 `+
			`[tuple ["pond.Duck" [dictionary [["unicode" "name"] ["unicode" "%d"]]]]] [dictionary]]`, i))
	}
}

// TestCacheRelay: copies at a gateway get state and updates as the original sent them, each user their own, whatever
// the classes; late ones too, and the original is asked for its state no more often than needed.
func TestCacheRelay(t *testing.T) {
	c := newCluster(t, "a", "b")
	ponds := make(chan *pond, 9)
	for _, n := range c.nodes {
		require.NoError(t, n.Kind("hall", func(string) *pond {
			p := &pond{}
			ponds <- p
			return p
		}))
	}
	addr, id := c.pondGateway("a"), c.idOn("hall", "b")
	ann, bob := c.enter(addr, "ann", id), c.enter(addr, "bob", id)
	ann.board(stateOf("ann", 0))
	bob.board(stateOf("bob", 0))
	p := <-ponds
	add := func(from, to int) {
		ann.Write(fmt.Sprintf(`[message 9 $pond "add" 1 [tuple %d %d] [dictionary]]`, from, to))
		ann.Ignore(`[answer 9 [None]]`)
		ann.wantUpdates(from, to)
		bob.wantUpdates(from, to)
	}
	add(0, 10)
	// A second copy of the same user gets the state as it was, and what came after.
	late := c.enter(addr, "ann", id)
	late.board(stateOf("ann", 0))
	late.wantUpdates(0, 10)
	require.EqualValues(t, 2, p.view.asked.Load(), "one for each user")

	// After many updates a late copy gets a new state.
	const many = 1100
	add(10, many)
	late.wantUpdates(10, many)
	later := c.enter(addr, "ann", id)
	later.board(stateOf("ann", many))
	require.EqualValues(t, 3, p.view.asked.Load())
	add(many, many+5)
	for _, other := range []*pondClient{late, later} {
		other.wantUpdates(many, many+5)
	}

	// When nobody has a copy any more, the original is not followed.
	for _, one := range []*pondClient{ann, bob, late, later} {
		one.Close()
	}
	pbtest.Eventually(t, func() bool {
		n := -1
		_, err := flavors.Update(&p.view, func(o flavors.Observers) { n = o.Len() }).Await(testContext(t))
		return err == nil && n == 0
	})
	for _, rt := range c.rts {
		pbtest.Eventually(t, func() bool {
			runtime.GC() // References are released when they are collected.
			return broker.StatsOf(rt).Relays == 0
		})
	}
}

// TestUpdatesInOrderWithCalls: one client gets updates and calls from the objects of a node in the order in which they
// were made, also while it does not read.
func TestUpdatesInOrderWithCalls(t *testing.T) {
	c := newCluster(t, "a", "b")
	for _, n := range c.nodes {
		require.NoError(t, n.Kind("hall", func(string) *pond { return &pond{} }))
	}
	for _, home := range []string{"a", "b"} {
		t.Run(home, func(t *testing.T) {
			ann := c.enter(c.pondGateway("a"), "ann", c.idOn("hall", home))
			ann.board(stateOf("ann", 0))
			ann.Write(`[message 4 $pond "join" 1 [tuple [remote 70]] [dictionary]]`)
			ann.Want(`[answer 4 [None]]`)
			const n = 500
			ann.Write(fmt.Sprintf(`[message 5 $pond "add" 0 [tuple 0 %d] [dictionary]]`, n))
			for i := range n {
				ann.wantUpdates(i, i+1)
				ann.Forget("id")
				ann.Want(fmt.Sprintf(`[message $id 70 "heard" 0 [tuple %d] [dictionary]]`, i))
			}
		})
	}
}
