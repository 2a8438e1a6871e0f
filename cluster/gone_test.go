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
	c.meetAnywhere(c.login, func(t *testing.T, m meeting) {
		me := &listener{}
		ask[any](t, m.bobHall, "watch", me)
		ask[any](t, m.bobHall, "join", me)
		members := ask[[]*flavors.RemoteReference](t, m.annHall, "members")
		bobs := members[len(members)-1]
		require.NoError(t, m.bob.Close(testContext(t)))
		for range 3 {
			assert.Equal(t, "terminated", <-gone)
			assert.Equal(t, "notified", <-gone)
			ask[any](t, m.annHall, "watch", bobs)
		}
		assert.Equal(t, "terminated", <-gone)
		assert.Equal(t, "notified", <-gone)
	})
}
