package cluster_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cluster"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
)

// hall is a placed object whose methods get the user.
type hall struct {
	flavors.Viewable
	node    string
	members []*flavors.RemoteReference
	gone    chan string
	board   *board
}

// ViewGuest returns an object without a name.
func (h *hall) ViewGuest(cluster.User) *listener { return &listener{} }

func (h *hall) ViewBoard(cluster.User) *board { return h.board }

// ViewWatch reports when an object is gone, and whether it cannot be called then.
func (h *hall) ViewWatch(inv *flavors.Invocation, _ cluster.User, m *flavors.RemoteReference) {
	told := make(chan struct{})
	inv.Conn().Runtime().WhenStopped(m.PID(), func() {
		h.gone <- "terminated"
		close(told)
	})
	m.NotifyOnDisconnect(func(error) {
		<-told
		if errors.Is(m.CallRemoteNoAnswer("heard", "", ""), flavors.DeadReference) {
			h.gone <- "notified"
		}
	})
}

func (h *hall) ViewNode(cluster.User) string       { return h.node }
func (h *hall) ViewWho(u cluster.User) []string    { return []string{u.Name, u.Gateway} }
func (h *hall) ViewEcho(_ cluster.User, x any) any { return x }
func (h *hall) ViewMembers(cluster.User) []any {
	var all []any
	for _, m := range h.members {
		all = append(all, m)
	}
	return all
}

func (h *hall) ViewJoin(_ cluster.User, m *flavors.RemoteReference) { h.members = append(h.members, m) }

func (h *hall) ViewSay(u cluster.User, text string) (int, error) {
	if h.board != nil {
		h.board.add(text)
	}
	for _, m := range h.members {
		if err := m.CallRemoteNoAnswer("heard", u.Name, text); err != nil {
			return 0, err
		}
	}
	return len(h.members), nil
}

// user is an avatar at a gateway.
type user struct {
	flavors.Avatar
	name string
	node *cluster.Node
}

func (u *user) UserName() string                            { return u.name }
func (u *user) PerspectiveHall(id string) *cluster.Ref      { return u.node.Get("hall", id) }
func (u *user) PerspectiveGet(kind, id string) *cluster.Ref { return u.node.Get(kind, id) }

// listener is a client's object.
type listener struct {
	flavors.Referenceable
	heard chan []string
}

func (l *listener) RemoteHeard(user, text string) { l.heard <- []string{user, text} }
func (l *listener) RemoteEcho(x any) any          { return x }

// gateway listens for clients on a node.
func (c *testCluster) gateway(node string) (url string) {
	n := c.nodes[node]
	enter := func(_ context.Context, id cred.AvatarID, _ *flavors.RemoteReference) (*user, func(), error) {
		return &user{name: id.Name(), node: n}, nil, nil
	}
	users, err := cred.NewInMemory(map[string]cred.Entry{"ann": cred.Plaintext("pw"), "bob": cred.Plaintext("pw")})
	require.NoError(c.t, err)
	ln, err := broker.Listen(c.rts[node], "pb://127.0.0.1:0", broker.Login(enter, users), broker.WithRelaying())
	require.NoError(c.t, err)
	return ln.URL()
}

func (c *testCluster) login(url, name string) (*broker.Conn, *flavors.RemoteReference) {
	return c.loginWith(jelly.NewRegistry(), url, name)
}

// loginWith is login with a registry of the client's classes.
func (c *testCluster) loginWith(known *jelly.Registry, url, name string) (*broker.Conn, *flavors.RemoteReference) {
	conn, err := broker.Dial(testContext(c.t), pbtest.NewRuntime(c.t), url, broker.WithRegistry(known))
	require.NoError(c.t, err)
	avatar, err := conn.Login(testContext(c.t), cred.UsernamePassword{Username: name, Password: "pw"}, nil)
	require.NoError(c.t, err)
	return conn, avatar
}

func ask[T any](t *testing.T, ref *flavors.RemoteReference, method string, args ...any) T {
	t.Helper()
	v, err := flavors.Call[T](testContext(t), ref, method, args...)
	require.NoError(t, err)
	return v
}

// TestClientsOnGateways: clients of different gateways meet in an object that lives anywhere.
func TestClientsOnGateways(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	for name, n := range c.nodes {
		require.NoError(t, n.Kind("hall", func(string) *hall { return &hall{node: name} }))
	}
	_, ann := c.login(c.gateway("a"), "ann")
	_, bob := c.login(c.gateway("b"), "bob")
	for _, home := range []string{"a", "b", "c"} {
		id := c.idOn("hall", home)
		annHall := ask[*flavors.RemoteReference](t, ann, "hall", id)
		bobHall := ask[*flavors.RemoteReference](t, bob, "hall", id)
		assert.Equal(t, home, ask[string](t, annHall, "node"))
		assert.Equal(t, home, ask[string](t, bobHall, "node"))
		assert.Equal(t, []string{"ann", "a"}, ask[[]string](t, annHall, "who"))
		assert.Equal(t, []string{"bob", "b"}, ask[[]string](t, bobHall, "who"))

		annHears, bobHears := &listener{heard: make(chan []string, 9)}, &listener{heard: make(chan []string, 9)}
		ask[any](t, annHall, "join", annHears)
		ask[any](t, bobHall, "join", bobHears)
		assert.Equal(t, 2, ask[int](t, annHall, "say", "hello"))
		assert.Equal(t, []string{"ann", "hello"}, <-annHears.heard)
		assert.Equal(t, []string{"ann", "hello"}, <-bobHears.heard)

		// Ann gets herself home, and can call Bob's object through the nodes.
		members := ask[[]any](t, annHall, "members")
		require.Len(t, members, 2)
		assert.Same(t, annHears, members[0])
		bobs, ok := members[1].(*flavors.RemoteReference)
		require.True(t, ok)
		assert.Equal(t, "x", ask[string](t, bobs, "echo", "x"))
		assert.Same(t, annHears, ask[any](t, bobs, "echo", annHears))
		assert.Same(t, annHears, ask[any](t, annHall, "echo", annHears))

		// A placed object comes home as the reference that the client has.
		assert.Equal(t, annHall.String(), ask[*flavors.RemoteReference](t, annHall, "echo", annHall).String())
	}
}

// TestClientGone: whoever has a reference to a client's object learns that the client is gone, or its gateway.
func TestClientGone(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	gone := make(chan string, 9)
	for name, n := range c.nodes {
		require.NoError(t, n.Kind("hall", func(string) *hall { return &hall{node: name, gone: gone} }))
	}
	url := c.gateway("a")
	for _, home := range []string{"a", "b"} {
		conn, ann := c.login(url, "ann")
		hall := ask[*flavors.RemoteReference](t, ann, "hall", c.idOn("hall", home))
		ask[any](t, hall, "watch", &listener{})
		require.NoError(t, conn.Close(testContext(t)))
		assert.Equal(t, "terminated", <-gone)
		assert.Equal(t, "notified", <-gone)
	}

	// The gateway is lost with everything on it.
	_, bob := c.login(c.gateway("c"), "bob")
	far := ask[*flavors.RemoteReference](t, bob, "hall", c.idOn("hall", "b"))
	ask[any](t, far, "watch", &listener{})
	c.nodes["c"].Close()
	assert.Equal(t, "terminated", <-gone)
	assert.Equal(t, "notified", <-gone)
}

// TestUnnamedObjectOfALostNode: an object without a name is gone with its node, for good.
func TestUnnamedObjectOfALostNode(t *testing.T) {
	c := newCluster(t, "a", "b")
	for name, n := range c.nodes {
		require.NoError(t, n.Kind("hall", func(string) *hall { return &hall{node: name} }))
	}
	_, ann := c.login(c.gateway("a"), "ann")
	far := ask[*flavors.RemoteReference](t, ann, "hall", c.idOn("hall", "b"))
	guest := ask[*flavors.RemoteReference](t, far, "guest")
	assert.Equal(t, "x", ask[string](t, guest, "echo", "x"))
	c.nodes["b"].Close()
	pbtest.Eventually(t, func() bool { return c.nodes["a"].Stats().Links == 0 })
	for range 2 {
		_, err := guest.CallRemote("echo", "x").Await(testContext(t))
		require.ErrorIs(t, err, flavors.DeadReference)
	}
}

// knowMembers waits until all nodes know what the store says of the members: who there is, and who offers what. Records
// without a lease are none.
func (c *testCluster) knowMembers() {
	c.t.Helper()
	ctx := testContext(c.t)
	pbtest.Eventually(c.t, func() bool {
		records, err := c.store.Get(ctx, cluster.DefaultPrefix+"m/")
		require.NoError(c.t, err)
		stored := map[string][]string{}
		for _, e := range records.Entries {
			if e.Lease == 0 {
				continue
			}
			var m cluster.Member
			require.NoError(c.t, json.Unmarshal(e.Value, &m))
			stored[m.Name] = m.Kinds
		}
		for name, n := range c.nodes {
			known := map[string][]string{}
			for _, m := range n.Members() {
				known[m.Name] = m.Kinds
			}
			if _, ok := stored[name]; !ok || !maps.EqualFunc(stored, known, slices.Equal[[]string]) {
				return false
			}
		}
		return true
	})
}

// idOn returns the id of an object that will be placed on a node.
func (c *testCluster) idOn(kind, node string) string {
	c.knowMembers()
	n := c.nodes["a"]
	for i := 0; ; i++ {
		id := "h" + string(rune('a'+i%26)) + string(rune('a'+i/26))
		if where, _ := n.Where(n.Get(kind, id)); where == node {
			return id
		}
	}
}

// meeting is an object that lives on one node, as two users have it: Ann through a, and Bob through any gateway.
type meeting struct {
	annHall, bobHall *flavors.RemoteReference
	bob              *broker.Conn
}

// meetAnywhere has Ann and Bob meet in an object of each node, with Bob at each gateway.
func (c *testCluster) meetAnywhere(
	login func(url, name string) (*broker.Conn, *flavors.RemoteReference), f func(t *testing.T, m meeting),
) {
	_, ann := login(c.gateway("a"), "ann")
	for home := range c.nodes {
		for gateway := range c.nodes {
			c.t.Run("user of "+gateway+" at an object of "+home, func(t *testing.T) {
				conn, bob := login(c.gateway(gateway), "bob")
				id := c.idOn("hall", home)
				f(t, meeting{
					ask[*flavors.RemoteReference](t, ann, "hall", id),
					ask[*flavors.RemoteReference](t, bob, "hall", id), conn,
				})
			})
		}
	}
}

func (c *testCluster) loginAnonymously(url string) (*broker.Conn, *flavors.RemoteReference) {
	conn, err := broker.Dial(testContext(c.t), pbtest.NewRuntime(c.t), url)
	require.NoError(c.t, err)
	avatar, err := conn.Login(testContext(c.t), cred.Anonymous{}, nil)
	require.NoError(c.t, err)
	return conn, avatar
}
