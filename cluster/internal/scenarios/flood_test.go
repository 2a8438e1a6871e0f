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

// TestFloods has one client ask for too much in several ways, while another at the same gateway, with rooms on the same
// nodes, is served.
func TestFloods(t *testing.T) {
	w := newWorld(t, "a", "b")
	alice, bob := w.users.login("alice", w.nodes["a"]), w.users.login("bob", w.nodes["a"])
	room := w.roomOn(alice, "b", "flood")
	bobs := w.roomOn(bob, "b", "other")
	bob.room(room)
	served := func(what string) {
		t.Helper()
		before := bob.call(bobs, "value").integer()
		require.Equal(t, before+1, bob.call(bobs, "incr").integer(), what)
		for _, name := range []string{"a", "b"} {
			if !raceEnabled { // The race detector's own memory is a multiple.
				require.Less(t, w.nodes[name].memory(t), maxMemory, "%s: memory of %s", what, name)
			}
		}
	}
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
