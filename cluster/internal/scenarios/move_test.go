package scenarios

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// load has users call rooms all the time, one call of each user at a time, until end is called.
type load struct {
	w     *world
	stop  chan struct{}
	done  chan []*increment
	users int
}

func (w *world) load(users []*user, rooms []string) *load {
	l := &load{w: w, stop: make(chan struct{}), done: make(chan []*increment), users: len(users)}
	for n, u := range users {
		go func() {
			var calls []*increment
			for i := n; ; i++ {
				select {
				case <-l.stop:
					l.done <- calls
					return
				default:
				}
				c := w.incr(u, rooms[i%len(rooms)])
				calls = append(calls, c)
				select {
				case <-c.done:
				case <-u.d.p.ended:
				}
			}
		}()
	}
	return l
}

// end returns the calls that were made.
func (l *load) end() []*increment {
	close(l.stop)
	var calls []*increment
	for range l.users {
		calls = append(calls, <-l.done...)
	}
	return calls
}

// TestMovesUnderLoad has a node join and another leave while users call rooms. No call may fail.
func TestMovesUnderLoad(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a", "b")
	alice, bob := w.users.login("alice", w.nodes["a"]), w.users.login("bob", w.nodes["b"])
	carol := w.users.login("carol", w.nodes["a"])
	var rooms []string
	for i := range 24 {
		id := fmt.Sprintf("move-%d", i)
		rooms = append(rooms, id)
		for _, u := range []*user{alice, bob, carol} {
			u.room(id)
		}
		alice.call(id, "node").value()
	}
	on := func() map[string]int {
		homes := map[string]int{}
		for _, id := range rooms {
			homes[fmt.Sprint(carol.call(id, "node").value())]++
		}
		return homes
	}
	load := w.load([]*user{alice, carol}, rooms)
	w.start("c")
	w.eventually("rooms move to the new node", func() bool { return on()["c"] > 2 })
	bob.do("disconnect", nil).value()
	require.Zero(t, w.nodes["b"].stop())
	require.Zero(t, on()["b"])
	calls := load.end()
	for _, c := range calls {
		require.Empty(t, c.wait().Error, c.report.Text)
	}
	t.Logf("%d calls, none failed", len(calls))
	w.check(calls...)
}

// TestMovesPastSilentClients has rooms move to a node that joins while a client of their own node does not read. They
// do not wait for it: when it reads at last, all its calls are answered, here or there.
func TestMovesPastSilentClients(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a")
	alice, bob := w.users.login("alice", w.nodes["a"]), w.users.login("bob", w.nodes["a"])
	var rooms []string
	for i := range 24 {
		id := fmt.Sprintf("silent-%d", i)
		rooms = append(rooms, id)
		alice.room(id)
		bob.room(id)
		bob.call(id, "node").value()
	}
	alice.call(rooms[1], "join", local("me")).value()
	alice.do("pause", nil).value()
	large := object{"repeat": list{"x", 500_000}}
	flood := alice.do("flood", object{"on": rooms[0], "method": "echo", "args": list{large}, "times": 60})
	w.eventually("much waits for alice to read", func() bool { return bob.call(rooms[1], "say", "hello").integer() == 0 })
	var calls []*increment
	for range 3 {
		for _, id := range rooms {
			calls = append(calls, w.incr(alice, id))
		}
	}
	w.start("c")
	w.eventually("rooms move to the new node", func() bool {
		moved := 0
		for _, id := range rooms {
			if bob.call(id, "node").value() == "c" {
				moved++
			}
		}
		return moved > 4
	})
	alice.do("resume", nil).value()
	require.Equal(t, object{"dict": list{list{"answered", 60.0}}}, flood.value())
	for _, c := range calls {
		require.Empty(t, c.wait().Error, c.report.Text)
	}
	w.check(calls...)
}
