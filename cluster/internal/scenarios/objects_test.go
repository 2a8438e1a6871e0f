package scenarios

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// give has a user call another user's object with a value, which comes back as it is, and returns what the other user
// got.
func (u *user) give(to string, value any, other *user) any {
	u.d.t.Helper()
	require.Equal(u.d.t, value, u.call(to, "give", value).value(), "it comes back")
	all := other.eventsOf("give")
	return all[len(all)-1].Args[0]
}

// TestObjectsOfUsers: an object of a user is one and the same to rooms and to other users, whatever way a reference to
// it has come. A room that a user gives to another is the other's own.
func TestObjectsOfUsers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a", "b")
	alice := w.users.login("alice", w.nodes["a"])
	for _, at := range []string{"a", "b"} {
		bob := w.users.login("bob", w.nodes[at])
		for _, on := range []string{"a", "b"} {
			t.Run("bob at "+at+", room on "+on, func(t *testing.T) {
				room := w.roomOn(alice, on, "objects at "+at)
				bob.room(room)
				named := func(received any) string { return received.(object)["ref"].(string) }
				hers, his, late := local("hers "+room), local("his "+room), local("late "+room)
				require.Nil(t, alice.call(room, "join", hers).value())
				toHers := named(bob.call(room, "members").value().(list)[0])
				require.Equal(t, hers, bob.give(toHers, ref(toHers), alice))

				toHis := named(bob.give(toHers, his, alice))
				require.Nil(t, alice.call(room, "join", ref(toHis)).value())
				require.Nil(t, bob.call(room, "join", his).value())
				require.Equal(t, list{hers, ref(toHis)}, alice.call(room, "members").value(), "who joins by two is one member")
				require.Equal(t, list{ref(toHers), his}, bob.call(room, "members").value())

				// Of this one bob gets to know before any room does.
				toLate := named(alice.give(toHis, late, bob))
				require.Nil(t, bob.call(room, "join", ref(toLate)).value())
				require.Nil(t, alice.call(room, "join", late).value())
				require.Equal(t, list{hers, ref(toHis), late}, alice.call(room, "members").value())

				for _, to := range []string{toHers, toLate} {
					require.Equal(t, ref(room), bob.give(to, ref(room), alice), "the room that she has")
				}
				require.EqualValues(t, 3, alice.call(room, "say", "in "+room).value())
				bob.event("heard", "his "+room, "alice", "in "+room)
			})
		}
	}
}
