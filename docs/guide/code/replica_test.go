package code

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/flavors/replica"
	"github.com/perspectivebroker/pb/internal/pbtest"
)

//guide:begin original
type Hub struct {
	flavors.Root
	users *replica.Map[string, int] // made by replica.NewMap[string, int]("hub.Users")
}

func (h *Hub) RemoteUsers() *replica.Map[string, int] { return h.users }

func (h *Hub) RemoteVisit(name string) *actor.Deferred {
	n, _ := h.users.Get(name)
	return h.users.Set(name, n+1) // answered after the update was sent
}

//guide:end

//guide:begin follow
func followUsers(ctx context.Context, rt *actor.Runtime, url string) (*replica.RemoteMap[string, int], error) {
	classes := jelly.NewRegistry()
	if err := replica.RegisterMap[string, int](classes, "hub.Users"); err != nil {
		return nil, err
	}
	conn, err := broker.Dial(ctx, rt, url, broker.WithRegistry(classes))
	if err != nil {
		return nil, err
	}
	return replica.FollowMap[string, int](ctx, conn.Root(), "users")
}

//guide:end

// TestReplica follows a replicated map.
func TestReplica(t *testing.T) {
	rt := pbtest.NewRuntime(t)
	hub := &Hub{users: replica.NewMap[string, int]("hub.Users")}
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", hub)
	require.NoError(t, err)
	users, err := followUsers(t.Context(), rt, ln.URL())
	require.NoError(t, err)
	assert.Zero(t, users.Len())
	hub.users.Set("ann", 3)
	for change := range users.Changes(t.Context()) {
		assert.Equal(t, replica.Change[string, int]{Key: "ann", Value: 3}, change)
		break
	}
	conn, err := broker.Dial(t.Context(), rt, ln.URL())
	require.NoError(t, err)
	_, err = flavors.Call[any](t.Context(), conn.Root(), "visit", "ann")
	require.NoError(t, err)
	for change := range users.Changes(t.Context()) {
		if change.Value == 4 {
			break
		}
	}
	n, ok := users.Get("ann")
	assert.True(t, ok)
	assert.Equal(t, 4, n)
}
