package cluster_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
)

// TestUsersForgotten: what the gateway and the object's node keep for each user of an object is given back when the
// user calls no more, whether connected or not. A user who comes back is the same.
func TestUsersForgotten(t *testing.T) {
	const many = 10
	c := newCluster(t, "a", "b")
	for name, n := range c.nodes {
		n.SetUserIdle(10 * time.Millisecond)
		require.NoError(t, n.Kind("hall", func(string) *hall { return &hall{node: name} }))
	}
	entries := map[string]cred.Entry{}
	for i := range many {
		entries[fmt.Sprint("user", i)] = cred.Plaintext("pw")
	}
	users, err := cred.NewInMemory(entries)
	require.NoError(t, err)
	enter := func(_ context.Context, id cred.AvatarID, _ *flavors.RemoteReference) (*user, func(), error) {
		return &user{name: id.Name(), node: c.nodes["a"]}, nil, nil
	}
	ln, err := broker.Listen(c.rts["a"], "pb://127.0.0.1:0", broker.Login(enter, users), broker.WithRelaying())
	require.NoError(t, err)
	for _, home := range []string{"a", "b"} {
		id := c.idOn("hall", home)
		lasting := c.nodes["b"].Get("hall", id)
		call[string](t, lasting, "node")
		// The owner drops its handles a while after these were given back.
		imports := broker.StatsOf(c.rts["a"]).Imports
		var halls []*flavors.RemoteReference
		who := func(i int) {
			name := fmt.Sprint("user", i)
			assert.Equal(t, []string{name, "a"}, ask[[]string](t, halls[i], "who"))
		}
		for i := range many {
			conn, avatar := c.login(ln.URL(), fmt.Sprint("user", i))
			halls = append(halls, ask[*flavors.RemoteReference](t, avatar, "hall", id))
			who(i)
			if i%2 == 1 {
				require.NoError(t, conn.Close(testContext(t)))
			}
		}
		forgotten := func() {
			pbtest.Eventually(t, func() bool {
				runtime.GC()
				refs, _, _ := c.nodes["a"].Users("hall", id)
				_, _, views := c.nodes[home].Users("hall", id)
				return refs+views == 0 && broker.StatsOf(c.rts["a"]).Imports <= imports
			})
		}
		forgotten()
		for i := 0; i < many; i += 2 {
			who(i)
		}
		forgotten()
		runtime.KeepAlive(lasting)
	}
}

// TestUsersKept: what is kept for a user who goes on calling stays.
func TestUsersKept(t *testing.T) {
	c := newCluster(t, "a", "b")
	for name, n := range c.nodes {
		n.SetUserIdle(time.Hour)
		require.NoError(t, n.Kind("hall", func(string) *hall { return &hall{node: name} }))
	}
	url := c.gateway("a")
	for home, want := range map[string][2]int{"a": {0, 0}, "b": {2, 2}} {
		id := c.idOn("hall", home)
		var halls []*flavors.RemoteReference
		for _, name := range []string{"ann", "bob", "ann"} {
			_, avatar := c.login(url, name)
			halls = append(halls, ask[*flavors.RemoteReference](t, avatar, "hall", id))
			assert.Equal(t, name, ask[[]string](t, halls[len(halls)-1], "who")[0])
		}
		refs, _, _ := c.nodes["a"].Users("hall", id)
		_, handles, views := c.nodes[home].Users("hall", id)
		assert.Equal(t, want, [2]int{refs, handles}, home)
		assert.Equal(t, 2, views)
		runtime.KeepAlive(halls) // A node forgets an object to which nobody has a reference.
	}
}
