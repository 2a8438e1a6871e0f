package cluster_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/flavors"
)

// TestGoneBefore: an object whose client has gone is known to be gone wherever it is sent afterwards.
func TestGoneBefore(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	gone := make(chan string, 9)
	for name, n := range c.nodes {
		require.NoError(t, n.Kind("hall", func(string) *hall { return &hall{node: name, gone: gone} }))
	}
	_, ann := c.login(c.gateway("a"), "ann")
	for _, gateway := range []string{"a", "b", "c"} {
		for _, home := range []string{"a", "b", "c"} {
			t.Run("user of "+gateway+" at an object of "+home, func(t *testing.T) {
				conn, bob := c.login(c.gateway(gateway), "bob")
				id := c.idOn("hall", home)
				annHall := ask[*flavors.RemoteReference](t, ann, "hall", id)
				bobHall := ask[*flavors.RemoteReference](t, bob, "hall", id)
				me := &listener{}
				ask[any](t, bobHall, "watch", me)
				ask[any](t, bobHall, "join", me)
				members := ask[[]*flavors.RemoteReference](t, annHall, "members")
				bobs := members[len(members)-1]
				require.NoError(t, conn.Close(testContext(t)))
				for range 3 {
					assert.Equal(t, "terminated", <-gone)
					assert.Equal(t, "notified", <-gone)
					ask[any](t, annHall, "watch", bobs)
				}
				assert.Equal(t, "terminated", <-gone)
				assert.Equal(t, "notified", <-gone)
			})
		}
	}
}
