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
	client := stock.Start(t, "testdata/follow.py", serve(t, h).Addr().String())
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
