package replica_test

import (
	"context"
	"fmt"
	"maps"
	"math"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/flavors/replica"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/internal/wire"
)

func TestFollowMap(t *testing.T) {
	h := newHub()
	h.users.Set("ann", 1)
	conn := dial(t, serve(t, h))
	users := follow(t, conn)
	require.Equal(t, map[string]int{"ann": 1}, maps.Collect(users.All()))
	do(t, conn, "set", "bob", 2)
	n, ok := users.Get("bob")
	require.True(t, ok)
	require.Equal(t, 2, n)
	do(t, conn, "delete", "ann")
	require.Equal(t, 1, users.Len())
	do(t, conn, "replace", map[string]int{"cas": 3})
	require.Equal(t, map[string]int{"cas": 3}, maps.Collect(users.All()))
	require.Equal(t, map[string]int{"cas": 3}, maps.Collect(h.users.All()))
	same, err := flavors.Call[bool](t.Context(), conn.Root(), "isSame", users.Cached())
	require.NoError(t, err)
	require.True(t, same)
	require.NoError(t, users.Err())
	t.Run("second follower", func(t *testing.T) {
		require.Equal(t, map[string]int{"cas": 3}, maps.Collect(follow(t, conn).All()))
	})
}

func TestFollowValue(t *testing.T) {
	conn := dial(t, serve(t, newHub()))
	topic, err := replica.FollowValue[string](t.Context(), conn.Root(), "topic")
	require.NoError(t, err)
	require.Equal(t, "none", topic.Get())
	do(t, conn, "discuss", "ponds")
	require.Equal(t, "ponds", topic.Get())
	var seen []string
	for v := range topic.Changes(t.Context()) {
		seen = append(seen, v)
		if len(seen) == 2 {
			break
		}
		do(t, conn, "discuss", "ducks")
	}
	require.Equal(t, []string{"ponds", "ducks"}, seen)
	require.NoError(t, conn.Close(t.Context()))
	for range topic.Changes(t.Context()) { // It ends, because the copy is stale.
	}
	_, stale := topic.Stale()
	require.True(t, stale)
	require.Equal(t, "ducks", topic.Get())
	_, err = topic.WhenStale().Await(t.Context())
	require.ErrorIs(t, err, topic.Err())
	topic.Release()
	require.Equal(t, "ducks", topic.Get())
}

// TestChangesUntilStale watches a map until its connection ends.
func TestChangesUntilStale(t *testing.T) {
	h := newHub()
	h.users.Set("ann", 1)
	conn := dial(t, serve(t, h))
	users := follow(t, conn)
	type change = replica.Change[string, int]
	seen := make(chan change)
	go func() {
		defer close(seen)
		for c := range users.Changes(context.Background()) {
			seen <- c
		}
	}()
	require.Equal(t, change{Key: "ann", Value: 1}, <-seen)
	do(t, conn, "set", "ann", 2)
	require.Equal(t, change{Key: "ann", Value: 2}, <-seen)
	do(t, conn, "delete", "ann")
	require.Equal(t, change{Key: "ann", Deleted: true}, <-seen)
	conn.Abort(nil)
	_, more := <-seen
	require.False(t, more)
	_, stale := users.Stale()
	require.True(t, stale)
	require.ErrorIs(t, users.Err(), context.Cause(conn.Context()))
}

// TestSlowLoop makes many changes of few keys while a loop does not look.
func TestSlowLoop(t *testing.T) {
	conn := dial(t, serve(t, newHub()))
	users := follow(t, conn)
	do(t, conn, "set", "a", 0)
	seen := map[string][]replica.Change[string, int]{}
	for c := range users.Changes(t.Context()) {
		seen[c.Key] = append(seen[c.Key], c)
		switch {
		case c.Key == "end":
			users.Release() // It ends the loop.
		case len(seen["a"]) == 1:
			for i := range 100 {
				do(t, conn, "set", "a", i)
				do(t, conn, "set", "b", i)
			}
			do(t, conn, "delete", "b")
			do(t, conn, "set", "end", 1)
			users.Len() // It waits for the updates.
		}
	}
	require.Equal(t, []replica.Change[string, int]{{Key: "a"}, {Key: "a", Value: 99}}, seen["a"])
	require.Empty(t, seen["b"], "it came and went")
	require.Len(t, seen["end"], 1)
	require.ErrorIs(t, users.Cached().View(func(*replica.MapCopy[string, int]) {}), flavors.ErrReleased)
	require.Equal(t, 2, users.Len(), "a released copy can be read")
}

func TestChangesEndWithContext(t *testing.T) {
	conn := dial(t, serve(t, newHub()))
	users := follow(t, conn)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range users.Changes(ctx) {
			cancel()
		}
	}()
	do(t, conn, "set", "ann", 1)
	<-done
}

// TestConcurrentSets compares two followers with the map after sets from many goroutines. One began to follow
// meanwhile.
func TestConcurrentSets(t *testing.T) {
	h := newHub()
	ln := serve(t, h)
	first := dial(t, ln)
	early := follow(t, first)
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			for i := range 200 {
				key := string(rune('a' + i%5))
				if i%7 == g%7 {
					h.users.Delete(key)
				} else {
					h.users.Set(key, g*1000+i)
				}
			}
		})
	}
	late := follow(t, dial(t, ln))
	group.Wait()
	_, err := h.users.Set("end", 1).Await(t.Context())
	require.NoError(t, err)
	want := maps.Collect(h.users.All())
	for _, m := range []*replica.RemoteMap[string, int]{early, late} {
		for c := range m.Changes(t.Context()) {
			if c.Key == "end" {
				break
			}
		}
		require.Equal(t, want, maps.Collect(m.All()))
	}
}

// TestLimits plays a peer that publishes a map and sends more than the copy may have.
func TestLimits(t *testing.T) {
	for name, test := range map[string]struct {
		opts    []replica.Option
		updates []string
		err     string
		entries int
	}{
		"entries": {
			[]replica.Option{replica.WithMaxEntries(2)},
			[]string{setOf("[unicode b] 2"), setOf("[unicode c] 3")},
			"may have 2 entries, not 3", 2,
		},
		"replacement": {
			[]replica.Option{replica.WithMaxEntries(1)},
			[]string{replaceOf("[[unicode b] 2] [[unicode c] 3]")},
			"may have 1 entries, not 2", 1,
		},
		"bytes": {
			[]replica.Option{replica.WithMaxBytes(3000)},
			[]string{setOf("[unicode b] 2"), setOf("[unicode " + strings.Repeat("c", 2000) + "] 2")},
			"may take 3000 bytes", 2,
		},
		"all bytes": {
			[]replica.Option{replica.WithMaxBytes(3000)},
			[]string{replaceOf("[[unicode " + strings.Repeat("c", 3000) + "] 2]")},
			"may take 3000 bytes", 1,
		},
		"type":   {nil, []string{setOf("[unicode b] [unicode x]")}, "cannot use str as int", 1},
		"key":    {nil, []string{"delete 0 [tuple [list]] [dictionary]"}, "cannot use list as string", 1},
		"method": {nil, []string{"destroy 0 [tuple] [dictionary]"}, "No such method", 1},
	} {
		t.Run(name, func(t *testing.T) {
			conn, p := pbtest.Client(t, classes(t, test.opts...))
			got := conn.Root().CallRemote("users")
			p.Want(`[message $id root users 1 [tuple] [dictionary]]`)
			p.Write(`[answer $id ["hub.Users" 5 [dictionary [[unicode items] [dictionary [[unicode a] 1]]]]]]`)
			v, err := got.Await(t.Context())
			require.NoError(t, err)
			users, err := replica.MapOf(v.(*flavors.Cached[replica.MapCopy[string, int]]))
			require.NoError(t, err)
			for i, u := range test.updates {
				p.Write(`[cachemessage ` + string(rune('1'+i)) + ` 5 ` + u + `]`)
			}
			_, err = users.WhenStale().Await(t.Context())
			require.ErrorContains(t, err, test.err)
			require.Equal(t, test.entries, users.Len())
		})
	}
}

func setOf(arguments string) string { return "set 0 [tuple " + arguments + "] [dictionary]" }
func replaceOf(items string) string {
	return "replace 0 [tuple [dictionary " + items + "]] [dictionary]"
}

// TestStateRefused wants a failed call where the first state is no map, has too many entries or takes too much memory.
func TestStateRefused(t *testing.T) {
	const one = `["hub.Users" 5 [dictionary [[unicode items] [dictionary [[unicode a] 1]]]]]`
	long := strings.Repeat("k", 5000)
	for name, test := range map[string]struct{ answer, want string }{
		"no map": {`["hub.Users" 5 [dictionary [[unicode items] 5]]]`, "cannot use int"},
		"entries": {
			`["hub.Users" 5 [dictionary [[unicode items] [dictionary [[unicode a] 1] [[unicode b] 2]]]]]`,
			"may have 1 entries, not 2",
		},
		"bytes": {
			`["hub.Users" 5 [dictionary [[unicode items] [dictionary [[unicode ` + long + `] 1]]]]]`,
			"may take 4000 bytes, not ",
		},
		"shared": { // The key comes before the state.
			`[list [reference 1 [unicode ` + long + `]]
				["hub.Users" 5 [dictionary [[unicode items] [dictionary [[dereference 1] 1]]]]]]`,
			"may take 4000 bytes, not ",
		},
		"second of two": {
			`[list ` + one + ` ["hub.Users" 6 [dictionary [[unicode items] [dictionary [[unicode ` + long + `] 1]]]]]]`,
			"may take 4000 bytes, not ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			conn, p := pbtest.Client(t, classes(t, replica.WithMaxEntries(1), replica.WithMaxBytes(4000)))
			got := conn.Root().CallRemote("users")
			p.Want(`[message $id root users 1 [tuple] [dictionary]]`)
			p.Write(`[answer $id ` + test.answer + `]`)
			_, err := got.Await(t.Context())
			require.ErrorContains(t, err, test.want)
		})
	}
}

// TestStatesSideBySide brings many copies in one answer. Each counts for itself.
func TestStatesSideBySide(t *testing.T) {
	conn, p := pbtest.Client(t, classes(t, replica.WithMaxBytes(4000)))
	got := conn.Root().CallRemote("users")
	p.Want(`[message $id root users 1 [tuple] [dictionary]]`)
	var states strings.Builder
	for i := range 20 {
		fmt.Fprintf(&states, ` ["hub.Users" %d [dictionary [[unicode items] [dictionary [[unicode %s] 1]]]]]`,
			5+i, strings.Repeat("k", 1000))
	}
	p.Write(`[answer $id [list` + states.String() + `]]`)
	v, err := got.Await(t.Context())
	require.NoError(t, err)
	require.Len(t, v, 20)
}

// TestUnusableKeys sends a key that no Go map can have, and sets NaN.
func TestUnusableKeys(t *testing.T) {
	r := jelly.NewRegistry()
	require.NoError(t, replica.RegisterMap[any, any](r, "hub.Any"))
	conn, p := pbtest.Client(t, broker.WithRegistry(r))
	got := conn.Root().CallRemote("any")
	p.Want(`[message $id root any 1 [tuple] [dictionary]]`)
	p.Write(`[answer $id ["hub.Any" 5 [dictionary [[unicode items] [dictionary]]]]]`)
	v, err := got.Await(t.Context())
	require.NoError(t, err)
	m, err := replica.MapOf(v.(*flavors.Cached[replica.MapCopy[any, any]]))
	require.NoError(t, err)
	p.Write(`[cachemessage 1 5 set 0 [tuple [tuple 1] 2] [dictionary]]`)
	_, err = m.WhenStale().Await(t.Context())
	require.ErrorContains(t, err, "a tuple cannot be the key of a map")
	require.Zero(t, m.Len())
	nan := replica.NewMap[float64, int]("x")
	_, err = nan.Set(math.NaN(), 1).Await(t.Context())
	require.ErrorContains(t, err, "NaN")
	_, err = nan.Replace(map[float64]int{math.NaN(): 1}).Await(t.Context())
	require.ErrorContains(t, err, "NaN")
	require.Zero(t, nan.Len())
}

// TestReleaseStopsUpdates releases a copy, and forgets another.
func TestReleaseStopsUpdates(t *testing.T) {
	h := newHub()
	ln := serve(t, h)
	follow(t, dial(t, ln)).Release()
	func() { _ = follow(t, dial(t, ln)).Len() }()
	require.Eventually(t, func() bool {
		runtime.GC()
		observers := -1
		_, err := flavors.Update(h.users, func(o flavors.Observers) { observers = o.Len() }).Await(t.Context())
		require.NoError(t, err)
		return observers == 0
	}, wire.Timeout, time.Millisecond)
}

// TestUnsendableValue wants the error of a value that cannot be sent from Set, and from the next follower's call.
func TestUnsendableValue(t *testing.T) {
	root := &oddHub{odd: replica.NewMap[string, any]("hub.Odd")}
	ln := serve(t, root)
	r := jelly.NewRegistry()
	require.NoError(t, replica.RegisterMap[string, any](r, "hub.Odd"))
	conn, err := broker.Dial(t.Context(), pbtest.NewRuntime(t), ln.URL(), broker.WithRegistry(r))
	require.NoError(t, err)
	_, err = replica.FollowMap[string, any](t.Context(), conn.Root(), "odd")
	require.NoError(t, err)
	_, err = root.odd.Set("bad", make(chan int)).Await(t.Context())
	require.ErrorIs(t, err, flavors.InsecureJelly)
	other, err := broker.Dial(t.Context(), pbtest.NewRuntime(t), ln.URL(), broker.WithRegistry(r))
	require.NoError(t, err)
	_, err = replica.FollowMap[string, any](t.Context(), other.Root(), "odd")
	require.ErrorContains(t, err, "chan int")
}

type oddHub struct {
	flavors.Root
	odd *replica.Map[string, any]
}

func (h *oddHub) RemoteOdd() *replica.Map[string, any] { return h.odd }

// TestStoppedOriginal changes a map whose actor has stopped, and publishes it again.
func TestStoppedOriginal(t *testing.T) {
	h := newHub()
	rt, err := actor.NewRuntime()
	require.NoError(t, err)
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", h)
	require.NoError(t, err)
	users := follow(t, dial(t, ln))
	_, err = h.users.Set("ann", 1).Await(t.Context())
	require.NoError(t, err)
	require.NoError(t, rt.Close(t.Context()))
	_, _ = h.users.Set("bob", 2).Await(t.Context())
	_, err = users.WhenStale().Await(t.Context())
	require.Error(t, err)
	again := newHub()
	again.users = h.users
	require.Equal(t, map[string]int{"ann": 1, "bob": 2}, maps.Collect(follow(t, dial(t, serve(t, again))).All()))
}

func TestZeroReplicas(t *testing.T) {
	var m *replica.Map[string, int]
	_, err := m.Set("a", 1).Await(t.Context())
	require.ErrorContains(t, err, "NewMap")
	_, err = m.Delete("a").Await(t.Context())
	require.ErrorContains(t, err, "NewMap")
	_, err = m.Replace(nil).Await(t.Context())
	require.ErrorContains(t, err, "NewMap")
	require.Zero(t, m.Len())
	require.Empty(t, maps.Collect(m.All()))
	var v *replica.Value[int]
	_, err = v.Set(1).Await(t.Context())
	require.ErrorContains(t, err, "NewValue")
	require.Zero(t, v.Get())
	_, err = (&replica.Value[int]{}).Set(3).Await(t.Context())
	require.NoError(t, err)
	for _, r := range []*replica.RemoteMap[string, int]{nil, {}} {
		require.Zero(t, r.Len())
		require.Error(t, r.Err())
		_, err = r.WhenStale().Await(t.Context())
		require.Error(t, err)
		for range r.Changes(t.Context()) {
			t.Fail()
		}
		r.Release()
	}
	for _, r := range []*replica.RemoteValue[int]{nil, {}} {
		require.Zero(t, r.Get())
		require.Error(t, r.Err())
		for range r.Changes(t.Context()) {
			t.Fail()
		}
		r.Release()
	}
	_, err = replica.MapOf[string, int](nil)
	require.Error(t, err)
	_, err = replica.ValueOf[int](nil)
	require.Error(t, err)
	_, err = replica.FollowMap[string, int](t.Context(), nil, "users")
	require.ErrorIs(t, err, flavors.DeadReference)
	require.Error(t, replica.RegisterMap[string, int](nil, "x"))
	require.Error(t, replica.RegisterValue[int](nil, "x"))
}

// TestReplicaInBubble follows a map over a pipe, without sockets.
func TestReplicaInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub()
		rt, err := actor.NewRuntime()
		require.NoError(t, err)
		defer func() { require.NoError(t, rt.Close(context.Background())) }()
		pl := broker.NewPipeListener()
		_, err = broker.ListenOn(rt, pl, h)
		require.NoError(t, err)
		dialer := broker.WithDialer(func(ctx context.Context, _, _ string) (net.Conn, error) { return pl.Dial(ctx) })
		conn, err := broker.Dial(t.Context(), rt, "pb://127.0.0.1:1", classes(t), dialer)
		require.NoError(t, err)
		users := follow(t, conn)
		h.users.Set("ann", 1)
		synctest.Wait()
		n, _ := users.Get("ann")
		require.Equal(t, 1, n)
	})
}
