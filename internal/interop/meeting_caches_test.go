package interop

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/flavors"
)

// itemsOf returns the items of a cache.
func itemsOf(t *testing.T, p *flavors.Cached[remotePond]) (items []any) {
	t.Helper()
	require.NoError(t, p.View(func(p *remotePond) { items = slices.Clone(p.items) }))
	return items
}

func numbers(n int) []any {
	list := make([]any, n)
	for i := range list {
		list[i] = int64(i)
	}
	return list
}

func cacheChecks() []clientCheck {
	return []clientCheck{
		{"caches", "a thousand updates in order, before the answer behind them", func(t *testing.T, m *meeting) {
			p := call[*flavors.Cached[remotePond]](t, m.conn, "pond", "thousand", []any{})
			other := m.dial(t)
			theirs := call[*flavors.Cached[remotePond]](t, other, "pond", "thousand", []any{})
			var under []*actor.Deferred
			for i := range 1000 {
				under = append(under, m.conn.Root().CallRemote("pondAdd", "thousand", i))
			}
			_, err := actor.All(under...).Await(t.Context())
			require.NoError(t, err)
			assert.Equal(t, numbers(1000), itemsOf(t, p))
			call[any](t, other, "add", 1)
			assert.Equal(t, numbers(1000), itemsOf(t, theirs))
			call[any](t, m.conn, "pondRemove", "thousand", 0)
			assert.Equal(t, numbers(1000)[1:], itemsOf(t, p))
		}},
		{"caches", "observers are connections, and let go", func(t *testing.T, m *meeting) {
			p := call[*flavors.Cached[remotePond]](t, m.conn, "pond", "watched", []any{1})
			assert.Same(t, p, call[*flavors.Cached[remotePond]](t, m.conn, "pond", "watched", []any{}))
			assert.Equal(t, 1, call[int](t, m.conn, "pondObservers", "watched"))
			other := m.dial(t)
			call[any](t, other, "pond", "watched", []any{})
			assert.Equal(t, 2, call[int](t, m.conn, "pondObservers", "watched"))
			require.NoError(t, other.Close(t.Context()))
			eventually(t, func() bool { return call[int](t, m.conn, "pondObservers", "watched") == 1 })
			p.Release()
			p.Release() // It has two receipts.
			eventually(t, func() bool { return call[int](t, m.conn, "pondObservers", "watched") == 0 })
		}},
		{"caches", "a copy goes home as the original", func(t *testing.T, m *meeting) {
			p := call[*flavors.Cached[remotePond]](t, m.conn, "pond", "home", []any{1})
			assert.Same(t, p, call[*flavors.Cached[remotePond]](t, m.conn, "echo", p))
		}},
		{"caches", "the server follows an original of ours", func(t *testing.T, m *meeting) {
			mine := &pond{items: []any{}}
			call[any](t, m.conn, "takePond", mine)
			for i := range 300 {
				flavors.Update(mine, func(observers flavors.Observers) {
					mine.items = append(mine.items, i)
					assert.NoError(t, observers.CallRemote("add", i))
				})
			}
			_, err := flavors.Update(mine, func(observers flavors.Observers) {
				assert.Equal(t, 1, observers.Len())
			}).Await(t.Context())
			require.NoError(t, err)
			assert.Equal(t, numbers(300), call[[]any](t, m.conn, "pondState"))
			assert.Same(t, mine, call[*pond](t, m.conn, "returnPond"))
			call[any](t, m.conn, "ignorePond")
			eventually(t, func() bool {
				call[any](t, m.conn, "stats") // collects garbage
				n := -1
				_, err := flavors.Update(mine, func(observers flavors.Observers) { n = observers.Len() }).Await(t.Context())
				require.NoError(t, err)
				return n == 0
			})
		}},
		{"caches", "a pond that does not exist", func(t *testing.T, m *meeting) {
			_, err := flavors.Call[any](t.Context(), m.conn.Root(), "pondAdd", "nowhere", 1)
			require.ErrorIs(t, err, flavors.KeyError)
		}},
	}
}
