package replica_test

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/flavors/replica"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/internal/stock"
)

// TestStockFollows lets a stock pb.RemoteCache follow our map.
func TestStockFollows(t *testing.T) {
	stock.Require(t)
	h := newHub()
	h.users.Set("ann", 1)
	client := stock.Start(t, "testdata/follow.py", serve(t, h).Addr().String(), "users")
	require.Equal(t, "state [('ann', 1)]", client.WaitLine("state"))
	h.users.Set("bob", 2)
	require.Equal(t, "set bob [('ann', 1), ('bob', 2)]", client.WaitLine("set bob"))
	h.users.Delete("ann")
	require.Equal(t, "delete ann [('bob', 2)]", client.WaitLine("delete"))
	h.users.Replace(map[string]int{"cas": 3, "dan": 4})
	require.Equal(t, "replace [('cas', 3), ('dan', 4)]", client.WaitLine("replace"))
	client.Kill()
}

// TestFollowStock follows a stock pb.Cacheable.
func TestFollowStock(t *testing.T) {
	stock.Require(t)
	server := stock.Start(t, "testdata/publish.py")
	r := jelly.NewRegistry()
	require.NoError(t, replica.RegisterMap[string, int](r, "__main__.Users"))
	conn, err := broker.Dial(t.Context(), pbtest.NewRuntime(t), "pb://"+server.Addr(), broker.WithRegistry(r))
	require.NoError(t, err)
	users := follow(t, conn)
	require.Equal(t, map[string]int{"ann": 1}, maps.Collect(users.All()))
	do(t, conn, "set", "bob", 2)
	do(t, conn, "delete", "ann")
	require.Equal(t, map[string]int{"bob": 2}, maps.Collect(users.All()))
	do(t, conn, "replace", map[string]int{"cas": 3})
	n, ok := users.Get("cas")
	require.True(t, ok)
	require.Equal(t, 3, n)
	require.Equal(t, 1, users.Len())
	users.Release()
	observers, err := flavors.Call[int](t.Context(), conn.Root(), "observers")
	require.NoError(t, err)
	require.Zero(t, observers)
}

// TestStockFollowsValue lets a stock pb.RemoteCache follow our value.
func TestStockFollowsValue(t *testing.T) {
	stock.Require(t)
	h := newHub()
	h.topic.Set("tea")
	client := stock.Start(t, "testdata/follow.py", serve(t, h).Addr().String(), "topic")
	require.Equal(t, "state 'tea'", client.WaitLine("state"))
	h.topic.Set("café")
	require.Equal(t, "set 'café'", client.WaitLine("set 'c"))
	h.topic.Set("")
	require.Equal(t, "set ''", client.WaitLine("set ''"))
	client.Kill()
}

// TestFollowStockValue follows the value of a stock pb.Cacheable.
func TestFollowStockValue(t *testing.T) {
	stock.Require(t)
	server := stock.Start(t, "testdata/publish.py")
	r := jelly.NewRegistry()
	require.NoError(t, replica.RegisterValue[string](r, "__main__.Topic"))
	conn, err := broker.Dial(t.Context(), pbtest.NewRuntime(t), "pb://"+server.Addr(), broker.WithRegistry(r))
	require.NoError(t, err)
	topic, err := replica.FollowValue[string](t.Context(), conn.Root(), "topic")
	require.NoError(t, err)
	require.Equal(t, "none", topic.Get())
	do(t, conn, "discuss", "tea")
	require.Equal(t, "tea", topic.Get())
	var seen []string
	for value := range topic.Changes(t.Context()) {
		if seen = append(seen, value); value == "café" {
			break
		}
		conn.Root().CallRemote("discuss", "café")
	}
	require.Equal(t, []string{"tea", "café"}, seen)
	do(t, conn, "discuss", 7) // is no string
	_, err = topic.WhenStale().Await(t.Context())
	require.ErrorContains(t, err, "cannot use int as string")
	require.Equal(t, "café", topic.Get())
	topic.Release()
	observers, err := flavors.Call[int](t.Context(), conn.Root(), "topicObservers")
	require.NoError(t, err)
	require.Zero(t, observers)
}
