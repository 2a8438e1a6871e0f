package scenarios

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestKillInMidCall kills a node that carries out a call.
func TestKillInMidCall(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, shortLease, "a", "b")
	alice := w.users.login("alice", w.nodes["a"])
	room, other := w.roomOn(alice, "b", "kill"), w.roomOn(alice, "b", "other")
	var calls []*increment
	calls = append(calls, w.incr(alice, room))
	calls[0].value()
	slow := alice.call(room, "slow", 600_000)
	calls = append(calls, w.incr(alice, room)) // behind it
	alice.call(other, "id").value()            // The link keeps their order, so both have arrived.
	w.nodes["b"].kill()
	lost := slow.wait()
	require.Equal(t, nodeLost, lost.Error)
	require.Contains(t, lost.Parents, "twisted.spread.pb.PBConnectionLost")
	require.Equal(t, nodeLost, calls[1].fails())

	// The lease has not ended, so the owner is known and cannot be reached.
	calls = append(calls, w.incr(alice, room))
	if kind := calls[2].wait().Error; kind != "" {
		require.Equal(t, unavailable, kind)
	}
	w.eventually("the room is placed anew", func() bool {
		calls = append(calls, w.incr(alice, room))
		r := calls[len(calls)-1].wait()
		return r.Error == ""
	})
	require.Equal(t, "a", alice.call(room, "node").value(), "the reference stays good")
	w.check(calls...)
}

// TestLaterCallsToADeadNode wants calls under way to fail when their node is killed. While its lease has not ended,
// later calls to its rooms wait to be placed, and fail, and those to objects without a name fail for good.
func TestLaterCallsToADeadNode(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a", "b")
	alice, bob := w.users.login("alice", w.nodes["a"]), w.users.login("bob", w.nodes["b"])
	room, near := w.roomOn(alice, "b", "dead"), w.roomOn(alice, "a", "dead")
	bob.room(near)
	bob.call(near, "join", local("me")).value()
	bobs := alice.call(near, "members").value().(list)[0].(object)["ref"].(string)
	alice.call(bobs, "nudge").wait()
	slow := alice.call(room, "slow", 600_000)
	alice.call(bobs, "nudge").wait() // It follows on the link.

	killed := time.Now()
	w.nodes["b"].kill()
	lost := slow.wait()
	require.Equal(t, nodeLost, lost.Error)
	t.Logf("it was seen after %v", seconds(lost.Ended).Sub(killed))

	later := w.incr(alice, room)
	require.Equal(t, deadReference, alice.call(bobs, "nudge").fails())
	require.Equal(t, unavailable, later.fails())
	require.Contains(t, later.report.Text, "could not be placed within")
	w.check(later)
}

// TestNewRoomOfADeadNode wants rooms that hash to a dead node to be unavailable until its lease ends, and no longer.
func TestNewRoomOfADeadNode(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, longLease, "a", "b")
	alice := w.users.login("alice", w.nodes["a"])
	w.roomOn(alice, "b", "seed")
	w.nodes["b"].kill()
	// Some of these would be placed on b.
	var open []*pending
	for i := range 8 {
		id := "new-" + string(rune('a'+i))
		alice.room(id)
		open = append(open, alice.call(id, "node"))
	}
	failed := 0
	for _, p := range open {
		if r := p.wait(); r.Error != "" {
			failed++
			require.Equal(t, unavailable, r.Error)
		} else {
			require.Equal(t, "a", r.Value)
		}
	}
	require.NotZero(t, failed)
	for i := range 8 {
		w.eventually("it is placed", func() bool {
			return alice.call("new-"+string(rune('a'+i)), "node").wait().Value == "a"
		})
	}
}

// TestStoppedBeyondTheLease stops a node until another has its rooms, and lets it run again. What has waited in it
// must not be carried out.
func TestStoppedBeyondTheLease(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, shortLease, "a", "b")
	alice, bob := w.users.login("alice", w.nodes["a"]), w.users.login("bob", w.nodes["b"])
	room := w.roomOn(alice, "b", "stop")
	bob.room(room)
	calls := []*increment{w.incr(alice, room), w.incr(bob, room)}
	for _, c := range calls {
		c.value()
	}
	b := w.nodes["b"]
	b.signal(syscall.SIGSTOP)
	// Both are in the sockets of the stopped node.
	calls = append(calls, w.incr(alice, room), w.incr(bob, room), w.incr(bob, room))
	require.Equal(t, nodeLost, calls[2].fails(), "a silent link is lost")
	w.eventually("the room is placed anew", func() bool {
		calls = append(calls, w.incr(alice, room))
		return calls[len(calls)-1].wait().Error == ""
	})
	b.signal(syscall.SIGCONT)
	calls[3].wait()
	calls[4].wait()
	// The room moves back, for both users.
	w.eventually("it is a member again, with its clients and the room", func() bool {
		return len(alice.call("avatar", "members").value().(list)) == 2 &&
			bob.call(room, "node").wait().Value == "b" && alice.call(room, "node").wait().Value == "b"
	})
	calls = append(calls, w.incr(bob, room), w.incr(alice, room))
	for _, c := range calls[len(calls)-2:] {
		c.value()
	}
	require.Empty(t, bob.eventsOf("disconnected"), "a fenced node keeps its clients")
	w.check(calls...)
}

// TestGatewayKilled wants the members at a gateway that was killed to leave their rooms.
func TestGatewayKilled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a", "b", "c")
	alice, bob, carol := w.users.login("alice", w.nodes["a"]), w.users.login("bob", w.nodes["b"]),
		w.users.login("carol", w.nodes["a"])
	room := w.roomOn(alice, "a", "gateway")
	other := w.roomOn(alice, "c", "gateway")
	for _, r := range []string{room, other} {
		for _, u := range []*user{alice, bob, carol} {
			if u != alice {
				u.room(r)
			}
			u.call(r, "join", local("me")).value()
		}
		require.Len(t, alice.call(r, "members").value(), 3)
	}
	theirs := alice.call(room, "members").value().(list)[1].(object)["ref"].(string)
	alice.do("watch", object{"on": theirs}).value()

	carol.do("abort", nil).value()
	w.eventually("carol has left", func() bool {
		return len(alice.call(room, "members").value().(list)) == 2 &&
			len(alice.call(other, "members").value().(list)) == 2
	})
	w.nodes["b"].kill()
	bob.event("disconnected", "")
	w.eventually("bob has left", func() bool {
		return len(alice.call(room, "members").value().(list)) == 1 &&
			len(alice.call(other, "members").value().(list)) == 1
	})
	require.EqualValues(t, 1, alice.call(room, "say", "alone").value())
	alice.event("heard", "me", "alice", "alone")
	require.Equal(t, deadReference, alice.call(theirs, "nudge").fails())
}
