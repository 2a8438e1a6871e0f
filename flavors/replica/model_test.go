package replica_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors/replica"
)

// TestMapModel changes a map at random and compares it, its followers, and what their loops saw, with a Go map.
// Followers come and go at random.
func TestMapModel(t *testing.T) {
	h := newHub()
	ln := serve(t, h)
	rapid.Check(t, func(rt *rapid.T) {
		model := map[string]int{}
		_, err := h.users.Replace(nil).Await(t.Context())
		require.NoError(rt, err)
		var followers []*follower
		defer func() {
			for _, f := range followers {
				f.conn.Abort(nil)
			}
		}()
		key := rapid.SampledFrom([]string{"a", "b", "c", "d"})
		steps := map[string]func(){
			"set": func() {
				k, n := key.Draw(rt, "key"), rapid.IntRange(0, 9).Draw(rt, "n")
				model[k] = n
				_, err = h.users.Set(k, n).Await(t.Context())
			},
			"delete": func() {
				k := key.Draw(rt, "key")
				delete(model, k)
				_, err = h.users.Delete(k).Await(t.Context())
			},
			"replace": func() {
				model = rapid.MapOfN(key, rapid.IntRange(0, 9), 0, 3).Draw(rt, "items")
				_, err = h.users.Replace(model).Await(t.Context())
			},
			"follow": func() {
				conn := dial(t, ln)
				users := follow(t, conn)
				f := &follower{conn: conn, users: users, seen: map[string]int{}}
				followers = append(followers, f)
			},
			"leave": func() {
				if len(followers) > 0 {
					followers[0].users.Release()
					followers[0].conn.Abort(nil)
					followers = followers[1:]
				}
			},
			"watch": func() {
				for _, f := range followers {
					f.watch(t, model)
				}
			},
		}
		names := slices.Sorted(maps.Keys(steps))
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			steps[rapid.SampledFrom(names).Draw(rt, "step")]()
			require.NoError(rt, err)
			require.Equal(rt, model, maps.Collect(h.users.All()))
			require.Equal(rt, len(model), h.users.Len())
			for _, f := range followers {
				do(t, f.conn, "delete", "no such key") // Its answer comes behind the updates.
				require.Equal(rt, model, maps.Collect(f.users.All()))
				for _, k := range []string{"a", "b", "c", "d"} {
					want, exists := model[k]
					got, ok := f.users.Get(k)
					require.Equal(rt, exists, ok)
					require.Equal(rt, want, got)
				}
			}
		}
	})
}

type follower struct {
	conn  *broker.Conn
	users *replica.RemoteMap[string, int]
	seen  map[string]int
}

// watch runs a loop until what it saw is what the map has, which for an empty map is at once.
func (f *follower) watch(t *testing.T, model map[string]int) {
	clear(f.seen)
	if len(model) == 0 {
		return
	}
	for c := range f.users.Changes(t.Context()) {
		if c.Deleted {
			delete(f.seen, c.Key)
		} else {
			f.seen[c.Key] = c.Value
		}
		if maps.Equal(f.seen, model) {
			return
		}
	}
	t.Error("the loop ended early")
}
