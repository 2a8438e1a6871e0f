package cluster_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cluster"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
)

// account is a placed object that is a user's avatar.
type account struct {
	flavors.Avatar
	node string
	seen int
}

func (a *account) PerspectiveNode() string { return a.node }
func (a *account) PerspectiveSeen() int    { a.seen++; return a.seen }

// TestAvatarsAnywhere: a realm returns a placed object, which lives anywhere. It is the same at each gateway, and knows
// its user. A logout ends the login and not the object.
func TestAvatarsAnywhere(t *testing.T) {
	c := newCluster(t, "a", "b")
	for name, n := range c.nodes {
		require.NoError(t, n.Kind("account", func(string) *account { return &account{node: name} }))
		require.NoError(t, n.Kind("hall", func(string) *hall { return &hall{node: name} }))
	}
	for _, kind := range []string{"account", "hall"} {
		for _, home := range []string{"a", "b"} {
			t.Run(kind+" on "+home, func(t *testing.T) {
				id := c.idOn(kind, home)
				for i, gateway := range []string{"a", "b"} {
					loggedOut := make(chan struct{})
					enter := func(context.Context, cred.AvatarID, *flavors.RemoteReference) (*cluster.Ref, func(), error) {
						return c.nodes[gateway].Get(kind, id), func() { close(loggedOut) }, nil
					}
					ln, err := broker.Listen(c.rts[gateway], "pb://127.0.0.1:0", broker.Login(enter, cred.AllowAnonymous()),
						broker.WithRelaying())
					require.NoError(t, err)
					conn, avatar := c.loginAnonymously(ln.URL())
					assert.Equal(t, home, ask[string](t, avatar, "node"))
					if kind == "hall" {
						assert.Equal(t, []string{id, gateway}, ask[[]string](t, avatar, "who"))
					} else {
						assert.Equal(t, i+1, ask[int](t, avatar, "seen"))
					}
					require.NoError(t, conn.Close(testContext(t)))
					<-loggedOut
				}
			})
		}
	}
}
