package scenarios

import (
	"fmt"
	"maps"
	"reflect"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// figures returns the stats of a gateway, without the bytes of its heap.
func (u *user) figures() map[string]int {
	u.d.t.Helper()
	figures := map[string]int{}
	for _, pair := range u.call("avatar", "stats").value().(object)["dict"].(list) {
		figures[pair.(list)[0].(string)] = int(pair.(list)[1].(float64))
	}
	delete(figures, "heap")
	return figures
}

// base has the stats of several gateways, each seen by a user who calls the same rooms before.
type base struct {
	w     *world
	users []*user
	rooms []string
	stats []map[string]int
}

// TestMembersAreGivenBack: a room gives users' objects back when they leave it or have gone, and when it did not need
// them. No garbage collection has to find them.
func TestMembersAreGivenBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a", "b")
	alice, bob := w.users.login("alice", w.nodes["a"]), w.users.login("bob", w.nodes["a"])
	room := w.roomOn(alice, "b", "given back")
	bob.room(room)
	before := alice.figures()["relays"]
	for i := range 20 {
		require.Nil(t, bob.call(room, "join", local(fmt.Sprint("stays ", i))).value())
		for _, method := range []string{"join", "join", "leave", "leave"} {
			require.Nil(t, alice.call(room, method, local(fmt.Sprint("leaves ", i))).value())
		}
	}
	returned := func(to int) func() bool { return func() bool { return alice.figures()["relays"] <= to } }
	w.eventually("those that have left are given back", returned(before+20))
	require.EqualValues(t, 20, alice.call(room, "say", "hello").value())
	bob.do("disconnect", nil).value()
	w.eventually("those of a user who has gone are given back", returned(before))
}

// newBase has users call rooms, and notes the stats of their gateways once these stay the same.
func (w *world) newBase(rooms []string, users ...*user) *base {
	w.t.Helper()
	b := &base{w: w, users: users, rooms: rooms}
	w.eventually("the stats stay the same", func() bool {
		before := b.stats
		b.stats = b.now()
		return reflect.DeepEqual(before, b.stats)
	})
	return b
}

// now calls the rooms, so that they are placed and their routes are in use, and returns the stats. Large values have
// the nodes collect garbage, which gives references back.
func (b *base) now() (stats []map[string]int) {
	b.w.t.Helper()
	for _, u := range b.users {
		for _, room := range b.rooms {
			b.w.eventually(room+" answers", func() bool { return u.call(room, "value").wait().Error == "" })
		}
		u.call(b.rooms[0], "echo", object{"repeat": list{"x", 300_000}}).wait()
	}
	for _, u := range b.users {
		stats = append(stats, u.figures())
	}
	return stats
}

// returns waits until the stats are what they were.
func (b *base) returns(what string) {
	b.w.t.Helper()
	var now []map[string]int
	b.w.t.Cleanup(func() {
		if b.w.t.Failed() {
			b.w.t.Logf("stats: %v, before: %v", now, b.stats)
		}
	})
	b.w.eventually("the stats return "+what, func() bool {
		now = b.now()
		return reflect.DeepEqual(now, b.stats)
	})
	b.w.t.Logf("%s: %v", what, now)
}

// crowd logs users in at a gateway, under one name.
func (d *driver) crowd(n int, name, title string, at *node) (all []*user) {
	d.t.Helper()
	var logins []*pending
	for i := range n {
		u := &user{d: d, key: fmt.Sprintf("%s-%d@%s", title, i, at.name), name: name}
		all, logins = append(all, u), append(logins, u.login(at))
	}
	for _, p := range logins {
		p.value()
	}
	return all
}

// TestHundredThousandReferences has users of a gateway hold 100,000 references, to rooms on both nodes and to objects
// of users at the other gateway, and then drop them.
func TestHundredThousandReferences(t *testing.T) {
	t.Parallel()
	const (
		holders = 110
		each    = 920 // A client may hold 1,024.
	)
	w := newPlainWorld(t)
	alice, bob := w.users.login("alice", w.nodes["a"]), w.users.login("bob", w.nodes["b"])
	rooms := []string{w.roomOn(alice, "a", "many"), w.roomOn(alice, "b", "many")}
	for _, room := range rooms {
		bob.room(room)
	}
	served := w.bystander(alice, rooms[1])
	join := bob.do("flood", object{"on": rooms[1], "method": "join", "args": list{local("member-#")}, "times": each,
		"window": 100})
	require.Equal(t, object{"dict": list{list{"answered", float64(each)}}}, join.value())
	all := w.users.crowd(holders, "alice", "holder", w.nodes["a"])
	for _, u := range all {
		u.room(rooms[1])
	}
	before := w.newBase(rooms, alice, bob)

	var floods []*pending
	for i, u := range all {
		fields := object{"on": "avatar", "method": "room", "args": list{fmt.Sprintf("held-%d-#", i)}, "times": each,
			"window": 50, "hold": true}
		if i%2 == 1 {
			fields = object{"on": rooms[1], "method": "members", "times": 1, "hold": true}
		}
		floods = append(floods, u.do("flood", fields))
	}
	for _, f := range floods {
		ended := f.value().(object)["dict"].(list)
		require.Len(t, ended, 1, "%v", ended)
		require.Equal(t, "answered", ended[0].(list)[0])
	}
	served("100,000 references are held")
	held := alice.figures()
	require.Greater(t, held["exports"], 100_000)
	t.Logf("held: %v", held)
	for _, u := range all {
		u.do("release", nil)
	}
	before.returns("after all were dropped")
	served("they were dropped")
}

// guests are users in a process of their own, which is killed.
type guests struct {
	*driver
	all []*user
}

// newGuests starts guests at nodes. At each node they have the name of the user there, so rooms do not know them apart.
func (w *world) newGuests(nodes map[string]string) *guests {
	w.t.Helper()
	g := &guests{driver: newDriver(w.t)}
	for at, name := range nodes {
		g.all = append(g.all, g.crowd(2, name, "guest", w.nodes[at])...)
	}
	return g
}

// play has guests use rooms in all ways, each on its own, and returns when all have done so.
func (g *guests) play(rooms []string) {
	var playing sync.WaitGroup
	for i, u := range g.all {
		playing.Go(func() {
			for n, room := range rooms {
				u.play(room, fmt.Sprintf("%d-%d", i, n))
			}
		})
	}
	playing.Wait()
}

// play uses a room in all ways. Nothing is given back. Calls may fail because nodes come and go.
func (u *user) play(room, tag string) {
	u.do("call", object{"on": "avatar", "method": "room", "args": list{room}, "store": room}).wait()
	me := local("me " + tag)
	thing := object{"copy": object{"owner": me, "room": ref(room)}}
	for _, call := range []*pending{
		u.call(room, "join", me), u.call(room, "say", "hello"), u.call(room, "board"), u.call(room, "incr"),
		u.call(room, "echo", list{me, ref(room), ref("avatar"), thing}),
	} {
		call.wait()
	}
	members := u.call(room, "members").wait()
	for _, m := range asList(members.Value) {
		if r, ok := m.(object)["ref"]; ok { // of another guest, perhaps at another gateway
			u.call(r.(string), "give", me, ref(room)).wait()
		}
	}
}

func asList(v any) list {
	l, _ := v.(list)
	return l
}

// TestStatsReturn has clients and nodes come and go, and use rooms in all ways meanwhile. Clients and a node are killed
// in the middle of it. In the end each gateway has what it had in the beginning.
func TestStatsReturn(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, shortLease, "a", "b")
	alice, bob := w.users.login("alice", w.nodes["a"]), w.users.login("bob", w.nodes["b"])
	var rooms []string
	for i := range 6 {
		rooms = append(rooms, fmt.Sprintf("stats-%d", i))
	}
	rooms = append(rooms, w.roomOn(alice, "a", "stats on"), w.roomOn(alice, "b", "stats on"))
	for _, room := range rooms {
		alice.room(room)
		bob.room(room)
	}
	before := w.newBase(rooms, alice, bob)

	at := map[string]string{"a": "alice", "b": "bob"}
	g := w.newGuests(at)
	g.play(rooms)
	g.p.kill()
	before.returns("after clients were killed")

	w.start("c")
	all := maps.Clone(at)
	all["c"] = "carol"
	g = w.newGuests(all)
	g.play(rooms)
	var playing sync.WaitGroup
	playing.Go(func() { g.play(rooms) })
	require.Zero(t, w.nodes["c"].stop())
	playing.Wait()
	g.p.kill()
	before.returns("after a node joined and left")

	w.start("c")
	g = w.newGuests(all)
	g.play(rooms)
	playing.Go(func() { g.play(rooms) })
	w.nodes["c"].kill()
	playing.Wait()
	g.p.kill()
	before.returns("after a node was killed")
}
