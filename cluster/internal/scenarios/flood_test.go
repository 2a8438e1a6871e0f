package scenarios

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// maxMemory is what a gateway may take, whatever a client asks for.
const maxMemory = 250 << 20

// memory returns how many bytes of the process are in memory.
func (p *process) memory(t *testing.T) int {
	t.Helper()
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	require.NoError(t, err)
	pages, err := strconv.Atoi(strings.Fields(string(statm))[1])
	require.NoError(t, err)
	return pages * os.Getpagesize()
}

// newPlainWorld starts two nodes whose memory can be measured.
func newPlainWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.plain = true
	w.startAll("a", "b")
	w.know("a", "b")
	return w
}

// bystander returns a function that checks that a user is served, by a room that nobody else calls, and that the nodes
// do not take too much memory.
func (w *world) bystander(u *user, room string) (served func(what string)) {
	return func(what string) {
		w.t.Helper()
		before := u.call(room, "value").integer()
		require.Equal(w.t, before+1, u.call(room, "incr").integer(), what)
		for name, n := range w.nodes {
			memory := n.memory(w.t)
			w.t.Logf("%s: %s has %d MiB", what, name, memory>>20)
			require.Less(w.t, memory, maxMemory, "%s: memory of %s", what, name)
		}
	}
}

// TestFloods has one client ask for too much in several ways, while another at the same gateway, with rooms on the same
// nodes, is served.
func TestFloods(t *testing.T) {
	t.Parallel()
	w := newPlainWorld(t)
	alice, bob := w.users.login("alice", w.nodes["a"]), w.users.login("bob", w.nodes["a"])
	room := w.roomOn(alice, "b", "flood")
	bobs := w.roomOn(bob, "b", "other")
	bob.room(room)
	served := w.bystander(bob, bobs)
	large := object{"repeat": list{"x", 500_000}}

	busy := alice.call(room, "slow", 3_000)
	carol := w.users.login("carol", w.nodes["b"])
	carol.room(room)
	var floods []*pending
	for _, u := range []*user{alice, carol} {
		floods = append(floods, u.do("flood", object{"on": room, "method": "echo", "args": list{large}, "times": 40}))
	}
	served("large calls wait for a busy room")
	busy.wait()
	for _, f := range floods {
		f.wait()
	}
	served("they have been answered")

	rooms := alice.do("flood", object{"on": "avatar", "method": "room", "args": list{"again"}, "times": 5_000})
	require.Equal(t, object{"dict": list{list{"answered", 5_000.0}}}, rooms.value(), "one reference, however often")
	served("the same reference again and again")

	// A client that does not read.
	alice.do("pause", nil).value()
	alice.do("flood", object{"on": room, "method": "echo", "args": list{large}, "times": 60})
	for range 20 {
		served("a client does not read")
	}
	bob.call(room, "join", local("me")).value()
	require.EqualValues(t, 1, bob.call(room, "say", "hello").value())
	bob.event("heard", "me", "bob", "hello")
	alice.do("abort", nil)
	served("it has gone")
}

// TestHoarders has users at one gateway ask for as many objects as they can, and keep them: rooms, references, members,
// copies of boards. Another user at that gateway is served.
func TestHoarders(t *testing.T) {
	t.Parallel()
	w := newPlainWorld(t)
	alice, bob, carol := w.users.login("alice", w.nodes["a"]), w.users.login("bob", w.nodes["a"]),
		w.users.login("carol", w.nodes["a"])
	room := w.roomOn(alice, "b", "hoard")
	bobs := w.roomOn(bob, "b", "other")
	carol.room(room)
	served := w.bystander(bob, bobs)
	flood := func(u *user, fields object) {
		t.Helper()
		u.do("flood", fields).wait() // Some fail when a limit is reached, and then the connection may end.
	}

	flood(alice, object{"on": "avatar", "method": "room", "args": list{"called-#"}, "then": "incr", "times": 4_000,
		"window": 200})
	served("many rooms were opened")
	flood(alice, object{"on": "avatar", "method": "room", "args": list{"held-#"}, "times": 2_000, "hold": true})
	served("many references to rooms are held")

	flood(carol, object{"on": room, "method": "join", "args": list{local("member-#")}, "times": 4_000, "window": 500})
	served("many members have joined")
	for range 4 {
		flood(carol, object{"on": room, "method": "members", "times": 5, "hold": true})
	}
	served("many references to members are held")
	dora := w.users.login("dora", w.nodes["a"])
	dora.room(room)
	carol.do("pause", nil)
	flood(dora, object{"on": room, "method": "say", "args": list{object{"repeat": list{"x", 10_000}}}, "times": 10})
	for range 10 {
		served("much is told to members that do not read")
	}
	carol.do("abort", nil)
	w.eventually("the members are gone", func() bool {
		return dora.call(room, "say", "who is there?").integer() == 0
	})
	flood(dora, object{"on": "avatar", "method": "room", "args": list{"board-#"}, "then": "board", "times": 1_200,
		"window": 200, "hold": true})
	served("many boards are held")
	dora.do("abort", nil)
	served("they have gone")
}
