package scenarios

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPassingNodeKilled has a reference to a room on c go through a room on b to a user at a, and kills b. The user
// never asked for the room, and uses it as before.
func TestPassingNodeKilled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a", "b", "c")
	alice, bob := w.users.login("alice", w.nodes["a"]), w.users.login("bob", w.nodes["b"])
	kept := w.roomOn(bob, "c", "kept")
	between := w.roomOn(bob, "b", "between")
	alice.room(between)
	calls := []*increment{w.incr(bob, kept)}
	calls[0].value()
	require.Nil(t, bob.call(between, "join", ref(kept)).value())
	members := alice.do("call", object{"on": between, "method": "members", "args": list{}}).value()
	require.Len(t, members, 1)
	got := members.(list)[0].(object)["ref"].(string)
	require.Equal(t, "c", alice.call(got, "node").value())

	under := w.incrBy(alice, got, kept)
	w.nodes["b"].kill()
	under.value()
	bob.event("disconnected", "")
	calls = append(calls, under)
	for range 20 {
		calls = append(calls, w.incrBy(alice, got, kept))
	}
	var sum int64
	for _, c := range calls {
		require.Empty(t, c.wait().Error, "no call notices that b has gone: %s", c.report.Text)
		sum += c.by
	}
	require.Equal(t, sum, alice.call(got, "value").integer(), "c has kept the value")
	require.Equal(t, kept, alice.call(got, "id").value())
	require.Equal(t, "c", alice.call(got, "node").value())
	require.Equal(t, ref(got), alice.call("avatar", "room", kept).value(), "it is the reference that a gives")
	require.Equal(t, ref(got), alice.call(got, "echo", ref(got)).value())
	w.check(calls...)
}
