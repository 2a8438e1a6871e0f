package replica_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/flavors/replica"
	"github.com/perspectivebroker/pb/internal/pbtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hub publishes a map and a value.
type hub struct {
	flavors.Root
	users *replica.Map[string, int]
	topic *replica.Value[string]
}

func newHub() *hub {
	return &hub{users: replica.NewMap[string, int]("hub.Users"), topic: replica.NewValue("hub.Topic", "none")}
}

func (h *hub) RemoteUsers() *replica.Map[string, int]             { return h.users }
func (h *hub) RemoteTopic() *replica.Value[string]                { return h.topic }
func (h *hub) RemoteSet(name string, n int) *actor.Deferred       { return h.users.Set(name, n) }
func (h *hub) RemoteReplace(items map[string]int) *actor.Deferred { return h.users.Replace(items) }
func (h *hub) RemoteDiscuss(topic string) *actor.Deferred         { return h.topic.Set(topic) }
func (h *hub) RemoteIsSame(users *replica.Map[string, int]) bool  { return users == h.users }
func (h *hub) RemoteDelete(name string) *actor.Deferred           { return h.users.Delete(name) }

func classes(t *testing.T, opts ...replica.Option) broker.Option {
	t.Helper()
	r := jelly.NewRegistry()
	require.NoError(t, replica.RegisterMap[string, int](r, "hub.Users", opts...))
	require.NoError(t, replica.RegisterValue[string](r, "hub.Topic"))
	return broker.WithRegistry(r)
}

func serve(t *testing.T, root any) *broker.Listener {
	t.Helper()
	ln, err := broker.Listen(pbtest.NewRuntime(t), "pb://127.0.0.1:0", root)
	require.NoError(t, err)
	return ln
}

func dial(t *testing.T, ln *broker.Listener, opts ...replica.Option) *broker.Conn {
	t.Helper()
	conn, err := broker.Dial(t.Context(), pbtest.NewRuntime(t), ln.URL(), classes(t, opts...))
	require.NoError(t, err)
	return conn
}

func follow(t *testing.T, conn *broker.Conn) *replica.RemoteMap[string, int] {
	t.Helper()
	m, err := replica.FollowMap[string, int](t.Context(), conn.Root(), "users")
	require.NoError(t, err)
	return m
}

// do calls a method of the hub and waits for its answer, so that the copies have its update.
func do(t *testing.T, conn *broker.Conn, method string, args ...any) {
	t.Helper()
	_, err := flavors.Call[any](t.Context(), conn.Root(), method, args...)
	require.NoError(t, err)
}
