package scenarios

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestUse has users at three gateways use rooms on all three nodes, in every way that rooms can be used.
func TestUse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a", "b", "c")
	alice, bob := w.users.login("alice", w.nodes["a"]), w.users.login("bob", w.nodes["b"])
	require.Equal(t, "alice", alice.call("avatar", "whoami").value())
	require.Equal(t, "a", alice.call("avatar", "node").value())
	require.Equal(t, "b", bob.call("avatar", "node").value())
	require.Equal(t, list{"a", "b", "c"}, alice.call("avatar", "members").value())
	require.Equal(t, list{"a", "b", "c"}, bob.call("avatar", "members").value())

	for _, on := range []string{"a", "b", "c"} {
		t.Run("room on "+on, func(t *testing.T) {
			room := w.roomOn(alice, on, "use")
			bob.room(room)
			require.Equal(t, on, bob.call(room, "node").value(), "both see it on the same node")
			require.Equal(t, room, bob.call(room, "id").value())
			require.EqualValues(t, 1, alice.call(room, "incr").integer())
			require.EqualValues(t, 6, bob.call(room, "incr", 5).integer())
			named := bob.do("call", object{"on": room, "method": "incr", "kw": object{"n": 4}})
			require.EqualValues(t, 10, named.integer())
			require.EqualValues(t, 10, alice.call(room, "value").integer())
			require.Equal(t, "builtins.ValueError", alice.call(room, "incr", math.MaxInt64).fails())
			require.EqualValues(t, 10, bob.call(room, "value").integer())
			require.Nil(t, alice.call(room, "slow", 1).value())
			require.Equal(t, "twisted.spread.flavors.NoSuchMethod", alice.call(room, "nonsense").fails())

			// Objects that users of different gateways hand to each other.
			me := local("me " + on)
			require.Nil(t, alice.call(room, "join", me).value())
			require.Nil(t, alice.call(room, "join", me).value(), "twice is once")
			require.Nil(t, bob.call(room, "join", me).value())
			require.EqualValues(t, 2, bob.call(room, "say", "hello "+on).value())
			alice.event("heard", "me "+on, "bob", "hello "+on)
			bob.event("heard", "me "+on, "bob", "hello "+on)
			members := alice.call(room, "members").value().(list)
			require.Len(t, members, 2)
			require.Equal(t, me, members[0], "it comes home as itself")
			theirs := members[1].(object)["ref"].(string)
			require.Nil(t, alice.call(theirs, "nudge", list{1, "two"}).value())
			bob.event("nudge", "me "+on, list{1.0, "two"})
			require.Equal(t, "twisted.spread.pb.Error", alice.call(theirs, "fail").fails())
			require.Equal(t, ref(theirs), alice.call(room, "members").value().(list)[1], "the same reference again")
			require.Nil(t, bob.call(room, "leave", me).value())
			require.EqualValues(t, 1, bob.call(room, "say", "again").value())

			for _, value := range []any{
				nil, true, 1.5, "text", list{1.0, list{"x"}}, me, object{"copy": object{"size": 3.0, "of": "frogs"}},
				object{"tuple": list{1.0, "b"}}, object{"bytes": "00ff"}, object{"dict": list{list{"k", list{}}}},
				list{me, object{"copy": object{"owner": me}}, me},
			} {
				require.Equal(t, value, alice.call(room, "echo", value).value())
			}
			require.Equal(t, ref(room), alice.call(room, "echo", ref(room)).value(), "rooms come back as themselves")
			require.Equal(t, ref(theirs), alice.call(room, "echo", ref(theirs)).value())

			// A room can be a member as well.
			require.Nil(t, alice.call(room, "join", ref(room)).value())
			for _, u := range []*user{alice, bob} {
				all := u.call(room, "members").value().(list)
				require.Equal(t, ref(room), all[len(all)-1])
			}
			require.Nil(t, bob.call(room, "leave", ref(room)).value())
			require.Len(t, alice.call(room, "members").value().(list), 1)
		})
	}
	stats := alice.call("avatar", "stats").value().(object)["dict"].(list)
	figures := map[string]float64{}
	for _, pair := range stats {
		figures[pair.(list)[0].(string)] = pair.(list)[1].(float64)
	}
	require.Len(t, figures, 5)
	require.Equal(t, 2, int(figures["links"]))
	require.Positive(t, figures["placed"])
	require.Positive(t, figures["relays"])
	require.Positive(t, figures["exports"])
	require.Positive(t, figures["heap"])

	for _, name := range []string{"a", "b", "c"} {
		require.Zero(t, w.nodes[name].stop(), "SIGTERM ends in order")
	}
}

// TestSlowEndsWithItsCaller: a user who has gone keeps no room busy.
func TestSlowEndsWithItsCaller(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a", "b")
	bob := w.users.login("bob", w.nodes["b"])
	for on, name := range map[string]string{"a": "alice", "b": "carol"} {
		room := w.roomOn(bob, on, "slow")
		other := w.users.login(name, w.nodes["a"])
		other.room(room)
		slow := other.call(room, "slow", math.MaxInt64)
		var value *pending
		w.eventually("the room is busy", func() bool {
			value = bob.call(room, "value")
			select {
			case <-value.done:
				return false
			case <-time.After(100 * time.Millisecond):
				return true
			}
		})
		other.do("disconnect", nil).value()
		require.NotEmpty(t, slow.fails())
		require.Zero(t, value.integer())
	}
}

// TestBoards has copies of a board at several gateways follow it.
func TestBoards(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a", "b")
	alice, bob := w.users.login("alice", w.nodes["a"]), w.users.login("bob", w.nodes["b"])
	carol := w.users.login("carol", w.nodes["a"])
	for _, on := range []string{"a", "b"} {
		room := w.roomOn(alice, on, "boards")
		bob.room(room)
		carol.room(room)
		alice.call(room, "say", "one").value()
		board := "board of " + room
		want := object{"cache": board, "items": list{"one"}}
		require.Equal(t, want, alice.fetch(board, room, "board"))
		require.Equal(t, want, bob.fetch(board, room, "board"))
		alice.call(room, "say", "two").value()
		for _, u := range []*user{alice, bob} {
			u.event("added", board, "two")
			require.Equal(t, list{"one", "two"}, u.do("items", object{"on": board}).value())
		}
		require.Equal(t, object{"cache": board, "items": list{"one", "two"}}, carol.fetch(board, room, "board"))
		require.Equal(t, object{"cache": board, "items": list{"one", "two"}}, alice.call(room, "board").value())

		// A member who hears a text finds it on the board.
		said := list{"one", "two"}
		for _, u := range []*user{alice, bob} {
			require.Nil(t, u.call(room, "join", local("ear in "+room)).value())
		}
		var saying []*pending
		for i := range 50 {
			said = append(said, fmt.Sprint("text ", i))
			saying = append(saying, alice.call(room, "say", said[i+2]))
		}
		for _, p := range saying {
			require.EqualValues(t, 2, p.value())
		}
		for _, u := range []*user{alice, bob} {
			u.event("heard", "ear in "+room, "alice", "text 49")
			var order list
			for _, r := range u.eventsOf("added", "heard") {
				switch r.Target {
				case board:
					order = append(order, r.Args[0])
				case "ear in " + room:
					require.Equal(t, order[len(order)-1], r.Args[1])
				}
			}
			require.Equal(t, said[1:], order)
		}
	}
}
