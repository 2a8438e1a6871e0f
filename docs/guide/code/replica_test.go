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
	"github.com/perspectivebroker/pb/internal/stock"
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

//guide:begin value
type Station struct {
	flavors.Root
	topic *replica.Value[string] // made by replica.NewValue("hub.Topic", "none yet")
}

func (s *Station) RemoteTopic() *replica.Value[string] { return s.topic }

// followTopic needs a connection whose registry has replica.RegisterValue[string](classes, "hub.Topic").
func followTopic(ctx context.Context, conn *broker.Conn, show func(string)) error {
	topic, err := replica.FollowValue[string](ctx, conn.Root(), "topic")
	if err != nil {
		return err
	}
	for text := range topic.Changes(ctx) { // the present value first; topic.Get returns the latest
		show(text)
	}
	return topic.Err()
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

// TestReplicaValue follows a replicated value until the connection ends.
func TestReplicaValue(t *testing.T) {
	rt := pbtest.NewRuntime(t)
	station := &Station{topic: replica.NewValue("hub.Topic", "none yet")}
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", station)
	require.NoError(t, err)
	classes := jelly.NewRegistry()
	require.NoError(t, replica.RegisterValue[string](classes, "hub.Topic"))
	conn, err := broker.Dial(t.Context(), rt, ln.URL(), broker.WithRegistry(classes))
	require.NoError(t, err)
	var shown []string
	err = followTopic(t.Context(), conn, func(text string) {
		shown = append(shown, text)
		if text == "tea" {
			conn.Abort(nil)
			return
		}
		station.topic.Set("tea")
	})
	require.Error(t, err)
	assert.Equal(t, []string{"none yet", "tea"}, shown)
}

// TestReplicaInPython follows a map and a value from Python.
func TestReplicaInPython(t *testing.T) {
	stock.Require(t)
	rt := pbtest.NewRuntime(t)
	users, topic := replica.NewMap[string, int]("hub.Users"), replica.NewValue("hub.Topic", "none yet")
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", &Hub{users: users})
	require.NoError(t, err)
	users.Set("ann", 3)
	client := stock.Start(t, "replica.py", ln.Addr().String(), "users")
	client.WaitLine("began with {'ann': 3}")
	users.Set("bob", 4)
	client.WaitLine("bob 4")
	client.Kill()

	ln, err = broker.Listen(rt, "pb://127.0.0.1:0", &Station{topic: topic})
	require.NoError(t, err)
	client = stock.Start(t, "replica.py", ln.Addr().String(), "topic")
	client.WaitLine("began with none yet")
	topic.Set("tea")
	client.WaitLine("topic tea")
	client.Kill()
}

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
