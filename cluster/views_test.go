package cluster_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cluster"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// foyer is a placed object that answers with what depends on who asks.
type foyer struct {
	flavors.Viewable
	node *cluster.Node
	view annex
}

// annex is an object without a name. Each user has a view of it.
type annex struct{ flavors.Viewable }

func (*annex) ViewWho(u cluster.User) string { return fmt.Sprint(u) }

// badge is a copy with another state for each user.
type badge struct {
	flavors.Copyable
	Text string `pb:"text"`
}

func (*badge) TypeToCopy() string { return "test.Badge" }
func (*badge) StateToCopyFor(perspective any) any {
	return map[string]any{"text": fmt.Sprint(perspective)}
}
func (f *foyer) ViewAnnex(cluster.User) *annex      { return &f.view }
func (f *foyer) ViewBadge(cluster.User) *badge      { return &badge{} }
func (f *foyer) ViewSelf(cluster.User) *cluster.Ref { return f.node.Get("foyer", "self") }

// ViewShow gives a view of the annex to an object of the user's, which returns who that is.
func (f *foyer) ViewShow(u cluster.User, m *flavors.RemoteReference) (*actor.Deferred, error) {
	view, err := flavors.NewViewPoint(u, &f.view)
	return m.CallRemote("take", view), err
}

// visitor is a client's object.
type visitor struct{ flavors.Referenceable }

func (*visitor) RemoteTake(view *flavors.RemoteReference) *actor.Deferred {
	return view.CallRemote("who")
}

// doorway is the root of clients that do not log in.
type doorway struct {
	flavors.Root
	node *cluster.Node
}

func (d *doorway) RemoteGet(kind, id string) *cluster.Ref { return d.node.Get(kind, id) }

// TestViewsOfUsers: what an object answers with belongs to the user that called it, wherever the object lives, and
// a placed object is one and the same, whoever has returned it. So it is without a login.
func TestViewsOfUsers(t *testing.T) {
	c := newCluster(t, "a", "b")
	for _, n := range c.nodes {
		require.NoError(t, n.Kind("foyer", func(string) *foyer { return &foyer{node: n} }))
	}
	known := jelly.NewRegistry()
	require.NoError(t, flavors.RegisterCopy[badge](known, "test.Badge"))
	_, ann := c.loginWith(known, c.gateway("a"), "ann")
	ln, err := broker.Listen(c.rts["a"], "pb://127.0.0.1:0", &doorway{node: c.nodes["a"]}, broker.WithRelaying())
	require.NoError(t, err)
	conn, err := broker.Dial(testContext(t), c.rts["b"], ln.URL(), broker.WithRegistry(known))
	require.NoError(t, err)
	for name, root := range map[string]*flavors.RemoteReference{"ann": ann, "": conn.Root()} {
		user := fmt.Sprint(cluster.User{Name: name, Gateway: "a"})
		self := ask[*flavors.RemoteReference](t, root, "get", "foyer", "self")
		for _, home := range []string{"a", "b"} {
			t.Run(user+" at an object of "+home, func(t *testing.T) {
				f := ask[*flavors.RemoteReference](t, root, "get", "foyer", c.idOn("foyer", home))
				assert.Same(t, self, ask[*flavors.RemoteReference](t, f, "self"))
				assert.Equal(t, user, ask[string](t, ask[*flavors.RemoteReference](t, f, "annex"), "who"))
				assert.Equal(t, user, ask[*badge](t, f, "badge").Text)
				assert.Equal(t, user, ask[string](t, f, "show", &visitor{}))
			})
		}
	}
}
